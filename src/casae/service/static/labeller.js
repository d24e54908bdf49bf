/** A viewer to draw on: brush, eraser, polygon, scissors, fill, wand, and regions that a model proposes. */
import { Viewer, joined, path } from "./viewer.js";

/** Colours that people with any sight tell apart (Okabe and Ito 2008), then their mixtures. */
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];
export const UNNAMED = 255;

export function colourOf(value) {
  if (value === UNNAMED) return "#ffffff";
  const base = PALETTE[(value - 1) % PALETTE.length];
  const again = Math.floor((value - 1) / PALETTE.length);
  return again ? mixed(base, again) : base;
}

export class Labeller extends Viewer {
  /**
   * raster: what is drawn on. onchange(place) is called after each step, with the rectangle that changed. asked: {wand,
   * scissors}, which ask the server. onsay(name) says that something cannot be.
   */
  constructor(element, { picture, raster, onchange, asked, onsay }) {
    super(element, { picture, mask: null, defects: [], width: raster.width, height: raster.height });
    Object.assign(this, { raster, onchange, asked, onsay });
    Object.assign(this, { tool: "brush", value: 1, brush: 8, tolerance: 16, points: [], proposals: [] });
    this.layers = { picture: 1, labels: 0.5, proposals: 1 };
    this.label = new OffscreenCanvas(raster.width, raster.height);
    this.colours = Array.from({ length: 256 }, (_, value) => rgb(colourOf(value || 1)));
    this.packed = Uint32Array.from(this.colours, ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red);
    this.cursor = element.appendChild(document.createElement("div"));
    this.cursor.className = "brush";
    this.cursor.hidden = true;
    this.repaint({ x: 0, y: 0, width: raster.width, height: raster.height });
    this.canvas.addEventListener("pointerleave", () => (this.cursor.hidden = true));
  }

  pixels() {
    return this.zoom < 1 ? [["picture", this.image]] : [["picture", this.image], ["labels", this.label]];
  }

  paint(damage) {
    if (this.zoom < 1) this.sample(damage);
    super.paint(damage);
  }

  /**
   * Labels as the screen shows them where it has fewer pixels than the picture: what lies under a pixel of the screen
   * gives it its colour, so that hairlines stay; and a canvas of the picture's size need not be copied at each stroke.
   */
  sample(damage) {
    const { width, height } = this.canvas;
    if (this.screen?.width !== width || this.screen.height !== height) {
      this.screen = new OffscreenCanvas(width, height);
      damage = "all";
    }
    const part = damage === "all" ? { x: 0, y: 0, ...this.size } : damage;
    const left = Math.max(0, damage === "all" ? 0 : Math.floor(this.left + part.x * this.zoom) - 1);
    const top = Math.max(0, damage === "all" ? 0 : Math.floor(this.top + part.y * this.zoom) - 1);
    const right = damage === "all" ? width : Math.min(width, Math.ceil(this.left + (part.x + part.width) * this.zoom) + 1);
    const bottom = damage === "all" ? height : Math.min(height, Math.ceil(this.top + (part.y + part.height) * this.zoom) + 1);
    if (right <= left || bottom <= top) return;
    const columns = spans(left, right, this.left, this.zoom, this.size.width);
    const rows = spans(top, bottom, this.top, this.zoom, this.size.height);
    const image = new ImageData(right - left, bottom - top);
    const shown = new Uint32Array(image.data.buffer);
    const { values } = this.raster;
    let at = 0;
    for (let row = 0; row < rows.length; row += 2) {
      for (let column = 0; column < columns.length; column += 2, at += 1) {
        let value = 0;
        for (let y = rows[row]; y < rows[row + 1] && !value; y += 1) {
          const start = y * this.size.width;
          for (let x = columns[column]; x < columns[column + 1] && !value; x += 1) value = values[start + x];
        }
        if (value) shown[at] = this.packed[value];
      }
    }
    this.screen.getContext("2d").putImageData(image, left, top);
  }

  paintOver(pen) {
    if (this.zoom < 1 && this.screen) {
      const place = pen.getTransform();
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.globalAlpha = this.layers.labels;
      pen.drawImage(this.screen, 0, 0);
      pen.setTransform(place);
    }
    if (this.layers.proposals) {
      pen.globalAlpha = this.layers.proposals;
      pen.setLineDash([6 / this.zoom, 4 / this.zoom]);
      for (const each of this.proposals) this.line(pen, each.path, colourOf(each.value));
      pen.setLineDash([]);
    }
    if (this.points.length) {
      const drawn = new Path2D();
      const way = [...this.points, ...(this.here ? [this.here] : [])];
      way.forEach(([x, y], index) => (index ? drawn.lineTo(x + 0.5, y + 0.5) : drawn.moveTo(x + 0.5, y + 0.5)));
      pen.globalAlpha = 1;
      this.line(pen, drawn, colourOf(this.value));
    }
  }

  line(pen, drawn, colour) {
    const ratio = window.devicePixelRatio || 1;
    for (const [style, width] of [["#000000", 3.5], [colour, 2]]) {
      pen.strokeStyle = style;
      pen.lineWidth = (width * ratio) / this.zoom;
      pen.stroke(drawn);
    }
  }

  /** Show what changed in a rectangle. */
  repaint(place) {
    if (!place || !place.width || !place.height) return;
    const image = new ImageData(place.width, place.height);
    const { values, width } = this.raster;
    let at = 0;
    for (let row = place.y; row < place.y + place.height; row += 1) {
      for (let column = place.x; column < place.x + place.width; column += 1, at += 4) {
        const value = values[row * width + column];
        if (!value) continue;
        const colour = this.colours[value];
        image.data[at] = colour[0];
        image.data[at + 1] = colour[1];
        image.data[at + 2] = colour[2];
        image.data[at + 3] = 255;
      }
    }
    this.label.getContext("2d").putImageData(image, place.x, place.y);
    this.draw(place);
  }

  /** End what is being drawn: a stroke, or a polygon, which closes. */
  finish() {
    if (this.working && (this.tool === "brush" || this.tool === "eraser")) this.changed(this.raster.end());
    this.working = false;
    if (this.points.length) this.close();
  }

  /** Wait for what the server was asked. */
  async answered() {
    while (this.asking) await this.asking;
  }

  use(tool) {
    if (tool !== this.tool) this.finish();
    this.tool = tool;
    this.hover(...(this.here ?? [0, 0]));
  }

  /** Regions of a model: {value, polygons}. */
  propose(proposals) {
    this.proposals = proposals.map((each) => {
      const drawn = path(each.polygons.map((polygon) => polygon.map(([x, y]) => [x + 0.5, y + 0.5])));
      return { ...each, path: drawn };
    });
    this.draw();
  }

  /** Make all proposals, or those of a list, labels. */
  accept(chosen = this.proposals) {
    if (!chosen.length) return;
    const named = (each) => (each.value === UNNAMED ? this.value : each.value); // of a class that the project lacks
    this.step(() => chosen.map((each) => this.raster.polygon(each.polygons, named(each))).reduce(joined, null));
    this.proposals = this.proposals.filter((each) => !chosen.includes(each));
    this.draw();
  }

  /** A double click closes a polygon, and two dabs are no wish to see all of the picture. */
  doubled() {}

  /** Arrows lead to other pictures here. */
  walks() {
    return false;
  }

  undo() {
    if (this.points.length) return this.dropLast(); // of what is being drawn, the last corner
    return this.changed(this.raster.undo());
  }

  redo() {
    this.changed(this.raster.redo());
  }

  press(x, y, event) {
    if (event.button !== 0 || this.panning || this.locked) return false;
    this.raster.own = this.value;
    const [column, row] = [Math.round(x), Math.round(y)];
    const outside = column < 0 || row < 0 || column >= this.size.width || row >= this.size.height;
    if (this.tool === "brush" || this.tool === "eraser") {
      this.raster.begin();
      this.last = [column, row];
      this.paintTo(column, row);
      return true;
    }
    if (this.tool === "pan" || outside) return false;
    const does = {
      polygon: () => this.add([column, row]),
      scissors: () => this.addAlongEdges([column, row]),
      fill: () => this.step(() => this.raster.fill(column, row, this.value), "no_hole"),
      delete: () => this.raster.values[row * this.size.width + column] && this.step(() => this.raster.fill(column, row, 0)),
      wand: () => this.wandAt(column, row),
      propose: () => this.acceptAt(column, row),
    }[this.tool];
    this.meant = does; // when the finger is lifted, unless a second one comes to zoom
    return true;
  }

  does() {
    const { meant } = this;
    this.meant = null;
    const doing = meant?.();
    if (!(doing instanceof Promise)) return;
    const asking = Promise.allSettled([this.asking, doing]).then(() => {
      if (this.asking === asking) this.asking = null;
    });
    this.asking = asking;
  }

  move(x, y) {
    this.hover(x, y);
    if (this.working && !this.meant && (this.tool === "brush" || this.tool === "eraser")) this.paintTo(Math.round(x), Math.round(y));
  }

  release() {
    if (this.meant) this.does();
    else if (this.tool === "brush" || this.tool === "eraser") this.changed(this.raster.end());
  }

  /** A second finger came: what was begun is no stroke. */
  cancel() {
    if (this.meant) this.meant = null;
    else if (this.working && (this.tool === "brush" || this.tool === "eraser")) {
      this.raster.end();
      this.repaint(this.raster.undo());
      this.raster.undone = [];
    }
    super.cancel();
  }

  paintTo(column, row) {
    const value = this.tool === "eraser" ? 0 : this.value;
    this.repaint(this.raster.stroke(...this.last, column, row, Math.max(0.5, (this.brush - 1) / 2), value));
    this.last = [column, row];
  }

  hover(x, y) {
    this.here = [x, y];
    const brush = this.tool === "brush" || this.tool === "eraser";
    this.cursor.hidden = !brush;
    if (brush) {
      const ratio = window.devicePixelRatio || 1;
      const side = (this.brush * this.zoom) / ratio;
      const left = (this.left + (Math.round(x) + 0.5) * this.zoom) / ratio - side / 2;
      const top = (this.top + (Math.round(y) + 0.5) * this.zoom) / ratio - side / 2;
      this.cursor.style.cssText = `width:${side}px;height:${side}px;transform:translate(${left}px,${top}px)`;
    }
    if (this.points.length) this.draw();
  }

  /** One step of undo; says `trouble` where it changed nothing. */
  step(change, trouble = null, value = this.value) {
    this.raster.own = value;
    this.raster.begin();
    const place = change();
    this.changed(this.raster.end());
    if (!place && trouble) this.onsay(trouble);
  }

  changed(place) {
    if (!place) return;
    this.repaint(place);
    this.onchange(place);
  }

  add(point) {
    this.points.push(point);
    this.draw();
  }

  async addAlongEdges(point) {
    const from = this.points.at(-1);
    const way = from ? await this.asked.scissors(from, point) : [point];
    this.points.push(...(way ?? [point]));
    this.draw();
  }

  /** Close the polygon and fill it. */
  close() {
    if (this.points.length > 2) {
      const points = this.points;
      this.step(() => {
        const [x, y] = points.at(-1);
        const inside = this.raster.polygon([points], this.value);
        let [fromX, fromY] = [x, y];
        for (const [toX, toY] of points) {
          this.raster.stroke(fromX, fromY, toX, toY, 0.5, this.value); // the pixels that were clicked belong to it
          [fromX, fromY] = [toX, toY];
        }
        return inside;
      });
    }
    this.drop();
  }

  dropLast() {
    this.points.pop();
    this.draw();
  }

  drop() {
    this.points = [];
    this.draw();
  }

  async wandAt(column, row) {
    const { value } = this; // that is chosen now, not when the answer comes
    const polygons = await this.asked.wand(column, row, this.tolerance);
    if (polygons?.length) this.step(() => this.raster.polygon(polygons, value), null, value);
  }

  acceptAt(column, row) {
    const pen = this.canvas.getContext("2d");
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const hit = this.proposals.filter((each) => pen.isPointInPath(each.path, column + 0.5, row + 0.5, "evenodd"));
    pen.restore();
    this.accept(hit.slice(0, 1));
  }
}

/** First and behind the last pixel of the picture under each pixel of the screen, in pairs. */
function spans(first, end, offset, zoom, most) {
  const found = new Int32Array(2 * (end - first));
  for (let place = first; place < end; place += 1) {
    const from = Math.floor((place - offset) / zoom);
    found[2 * (place - first)] = Math.max(0, from);
    found[2 * (place - first) + 1] = Math.min(most, Math.max(from + 1, Math.floor((place + 1 - offset) / zoom)));
  }
  return found;
}

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function mixed(colour, again) {
  const other = rgb(PALETTE[again % PALETTE.length]);
  return `#${rgb(colour).map((value, index) => Math.round((value + other[index]) / 2).toString(16).padStart(2, "0")).join("")}`;
}
