/**
 * Label values of a picture in memory, and how they change. Places are in pixels, centres at whole numbers; a polygon
 * holds the pixels whose centres it holds, so that outlines round pixels give the same pixels again.
 */
export class Raster {
  /** values: Uint8Array, row by row; protect: leave pixels of other classes alone. */
  constructor(width, height, values = new Uint8Array(width * height)) {
    Object.assign(this, { width, height, values, protect: false, undone: [], done: [] });
    this.begin();
  }

  /** What follows is one step of undo. */
  begin() {
    this.at = [];
    this.before = [];
    this.value = null;
  }

  /** End the step; the rectangle that it changed, null where it changed nothing. */
  end() {
    if (!this.at.length) return null;
    const at = Uint32Array.from(this.at);
    const before = Uint8Array.from(this.before);
    const after = at.map((index) => this.values[index]);
    const step = { at, before, after: Uint8Array.from(after), place: this.around(at) };
    this.done.push(step);
    while (this.done.length > 200) this.done.shift();
    this.undone = [];
    this.begin();
    return step.place;
  }

  /** Take the last step back, or make it again; the rectangle that changed, null without one. */
  undo() {
    return this.replay(this.done, this.undone, "before");
  }

  redo() {
    return this.replay(this.undone, this.done, "after");
  }

  replay(from, to, what) {
    const step = from.pop();
    if (!step) return null;
    step.at.forEach((index, number) => (this.values[index] = step[what][number]));
    to.push(step);
    return step.place;
  }

  put(index, value) {
    const old = this.values[index];
    if (old === value || (this.protect && this.held(old, value))) return;
    this.at.push(index);
    this.before.push(old);
    this.values[index] = value;
  }

  /** Whether a pixel is of another class than the one that is drawn or rubbed out. */
  held(old, value) {
    return old !== 0 && old !== (value || this.own);
  }

  /** Pixels at most `radius` from the way between two places; their rectangle. */
  stroke(x0, y0, x1, y1, radius, value) {
    const [left, right] = [Math.min(x0, x1) - radius, Math.max(x0, x1) + radius];
    const [top, bottom] = [Math.min(y0, y1) - radius, Math.max(y0, y1) + radius];
    const place = this.inside(Math.ceil(left), Math.ceil(top), Math.floor(right), Math.floor(bottom));
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    const most = radius * radius + 1e-6;
    for (let row = place.y; row < place.y + place.height; row += 1) {
      for (let column = place.x; column < place.x + place.width; column += 1) {
        const along = length ? Math.min(1, Math.max(0, ((column - x0) * dx + (row - y0) * dy) / length)) : 0;
        const [off, below] = [column - x0 - along * dx, row - y0 - along * dy];
        if (off * off + below * below <= most) this.put(row * this.width + column, value);
      }
    }
    return place;
  }

  /** Pixels whose centres lie in polygons [[[x, y], ...], ...], holes left out; their rectangle. */
  polygon(polygons, value) {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of polygons.flat()) {
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
    const place = this.inside(Math.floor(left), Math.ceil(top), Math.ceil(right), Math.floor(bottom));
    for (let row = place.y; row < place.y + place.height; row += 1) {
      const crossings = [];
      for (const polygon of polygons) {
        polygon.forEach(([x0, y0], index) => {
          const [x1, y1] = polygon[(index + 1) % polygon.length];
          if (y0 <= row !== y1 <= row) crossings.push(x0 + ((row - y0) / (y1 - y0)) * (x1 - x0));
        });
      }
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        const first = Math.max(0, Math.ceil(crossings[pair]));
        const last = Math.min(this.width - 1, Math.floor(crossings[pair + 1]));
        for (let column = first; column <= last; column += 1) this.put(row * this.width + column, value);
      }
    }
    return place;
  }

  /**
   * Pixels of one value that hang together with a place get another one; their rectangle. Background that reaches the
   * edge of the picture is no hole: null.
   */
  fill(x, y, value) {
    const start = y * this.width + x;
    const old = this.values[start];
    if (old === value) return null;
    const { width, height, values } = this;
    const found = [];
    const seen = new Uint8Array(width * height);
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const index = stack.pop();
      found.push(index);
      const column = index % width;
      const at = [column > 0 ? index - 1 : -1, column < width - 1 ? index + 1 : -1, index - width, index + width];
      const edge = column === 0 || column === width - 1 || index < width || index >= width * (height - 1);
      if (old === 0 && edge) return null;
      for (const near of at) {
        if (near >= 0 && near < values.length && !seen[near] && values[near] === old) {
          seen[near] = 1;
          stack.push(near);
        }
      }
    }
    for (const index of found) this.put(index, value);
    return this.around(found);
  }

  /** Bytes of a rectangle, row by row. */
  cut({ x, y, width, height }) {
    const bytes = new Uint8Array(width * height);
    for (let row = 0; row < height; row += 1) {
      const from = (y + row) * this.width + x;
      bytes.set(this.values.subarray(from, from + width), row * width);
    }
    return bytes;
  }

  /** The rectangle round pixels. */
  around(at) {
    let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
    for (const index of at) {
      const column = index % this.width;
      const row = (index - column) / this.width;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      if (row > bottom) bottom = row;
    }
    return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  }

  inside(left, top, right, bottom) {
    const [x, y] = [Math.max(0, left), Math.max(0, top)];
    const width = Math.max(0, Math.min(this.width - 1, right) - x + 1);
    return { x, y, width, height: Math.max(0, Math.min(this.height - 1, bottom) - y + 1) };
  }
}

/** A zlib stream of bytes. */
export async function packed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
