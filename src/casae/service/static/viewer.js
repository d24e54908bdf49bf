/**
 * A picture with layers on a canvas: zoom to single pixels without smoothing, pan, select a defect.
 *
 * new Viewer(element, {picture, mask, probability, defects, width, height}) draws into element, which it fills. Places are (x, y) in
 * pixels of the picture, pixel centres at whole numbers, as records have them.
 */
const COLOURS = { mask: [0, 200, 0], probability: [255, 64, 200], outlines: "#00c853", rectangles: "#ff3b30", selected: "#ffd60a" };
const LARGEST_ZOOM = 64; // screen pixels of a pixel
const STEP = 1.25;

export class Viewer {
  constructor(element, { picture, mask, probability = null, defects, width, height, onselect = () => {} }) {
    this.element = element;
    this.sources = { probability };
    this.defects = defects;
    this.size = { width, height };
    this.onselect = onselect;
    this.layers = { picture: 1, probability: 0, mask: 0.35, outlines: 1, rectangles: 1 };
    this.selected = null;
    this.canvas = element.querySelector("canvas") ?? element.appendChild(document.createElement("canvas"));
    this.canvas.tabIndex = 0;
    this.scaleLabel = element.appendChild(document.createElement("output"));
    this.scaleLabel.className = "scale";
    this.pointers = new Map();
    this.outlines = defects.map((defect) => path(defect.polygons));
    this.rectangles = defects.map((defect) => path([defect.rectangle]));
    this.wanted = { picture, mask };
    this.reload();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(element);
    this.resize();
  }

  /** Ask for the picture, once more where it did not come. */
  reload() {
    const { picture, mask } = this.wanted;
    this.ready = Promise.all([load(picture), mask ? load(mask) : null]).then(([image, found]) => {
      this.image = image;
      this.mask = found && tinted(found, COLOURS.mask);
      this.draw();
    });
  }

  /** Show all of the picture. */
  fit() {
    const { width, height } = this.canvas;
    this.zoom = Math.min(width / this.size.width, height / this.size.height);
    this.left = (width - this.size.width * this.zoom) / 2;
    this.top = (height - this.size.height * this.zoom) / 2;
    this.fitted = true;
    this.draw();
  }

  /** Zoom by a factor round a place of the canvas, its middle by default. */
  zoomBy(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const smallest = Math.min(1, this.canvas.width / this.size.width, this.canvas.height / this.size.height) / 2;
    const zoom = Math.min(LARGEST_ZOOM, Math.max(smallest, this.zoom * factor));
    this.left = x - (x - this.left) * (zoom / this.zoom);
    this.top = y - (y - this.top) * (zoom / this.zoom);
    this.zoom = zoom;
    this.fitted = false;
    this.draw();
  }

  pan(right, down) {
    this.left += right;
    this.top += down;
    this.fitted = false;
    this.draw();
  }

  /** Select a defect by its number and bring it to the middle; null selects none. */
  select(number, show = true) {
    this.selected = number;
    const defect = this.defects.find((each) => each.number === number);
    if (defect && show) {
      const { width, height } = this.canvas;
      const whole = Math.min(width / this.size.width, height / this.size.height);
      const side = Math.max(defect.length_px, defect.width_px, 24) * 4;
      this.zoom = Math.max(whole, Math.min(LARGEST_ZOOM / 4, Math.min(width, height) / side));
      this.left = this.canvas.width / 2 - (defect.centre_x_px + 0.5) * this.zoom;
      this.top = this.canvas.height / 2 - (defect.centre_y_px + 0.5) * this.zoom;
      this.fitted = false;
    }
    this.draw();
  }

  /** Opacity of a layer, 0 to 1. */
  layer(name, opacity) {
    this.layers[name] = opacity;
    if (name === "probability" && opacity && this.sources?.probability) this.loadProbability();
    this.draw();
  }

  /** The map is computed when somebody wants to see it first. */
  async loadProbability() {
    const { probability } = this.sources;
    this.sources.probability = null;
    try {
      this.probability = tinted(await load(probability), COLOURS.probability);
      this.draw();
    } catch {
      this.element.dispatchEvent(new CustomEvent("gone"));
    }
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.element.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.element.clientHeight * ratio));
    if (this.fitted !== false) this.fit();
    else this.draw();
  }

  /** Paint soon; only a rectangle of the picture where one is given, which is quick in a large picture. */
  draw(part = null) {
    if (!this.image) return;
    this.damage = part && this.damage !== "all" ? joined(this.damage, part) : "all";
    this.pending ??= requestAnimationFrame(() => {
      const damage = this.damage;
      this.pending = this.damage = null;
      this.paint(damage);
    });
  }

  /** Layers of pixels, the lowest first; others may have more. */
  pixels() {
    return [["picture", this.image], ["probability", this.probability], ["mask", this.mask]];
  }

  /** What others draw over the pixels, in places of the picture whose pixels have their corners at whole numbers. */
  paintOver() {}

  paint(damage) {
    const pen = this.canvas.getContext("2d");
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    if (damage !== "all") {
      const [left, top] = [this.left + damage.x * this.zoom - 2, this.top + damage.y * this.zoom - 2].map(Math.floor);
      const right = Math.ceil(this.left + (damage.x + damage.width) * this.zoom + 2);
      const bottom = Math.ceil(this.top + (damage.y + damage.height) * this.zoom + 2);
      pen.beginPath();
      pen.rect(left, top, right - left, bottom - top);
      pen.clip();
    }
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.setTransform(this.zoom, 0, 0, this.zoom, this.left, this.top);
    pen.imageSmoothingEnabled = this.zoom < 1;
    pen.imageSmoothingQuality = "high";
    for (const [name, image] of this.pixels()) {
      if (!image || !this.layers[name]) continue;
      pen.globalAlpha = this.layers[name];
      pen.drawImage(image, 0, 0, this.size.width, this.size.height);
    }
    this.paintOver(pen);
    pen.translate(0.5, 0.5); // pixel centres are whole numbers
    const ratio = window.devicePixelRatio || 1;
    for (const [name, paths] of [["outlines", this.outlines], ["rectangles", this.rectangles]]) {
      if (!this.layers[name]) continue;
      pen.globalAlpha = this.layers[name];
      paths.forEach((each, index) => {
        const chosen = this.defects[index].number === this.selected;
        pen.strokeStyle = chosen ? COLOURS.selected : COLOURS[name];
        pen.lineWidth = ((chosen ? 3 : 1.5) * ratio) / this.zoom;
        pen.stroke(each);
      });
    }
    pen.restore();
    this.scaleLabel.value = `${Math.round((100 * this.zoom) / ratio)} %`;
  }

  listen() {
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const ratio = this.canvas.width / box.width;
      return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    };
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.deltaY) this.zoomBy(event.deltaY < 0 ? STEP : 1 / STEP, ...place(event)); // sideways means no zoom
    }, { passive: false });
    this.canvas.addEventListener("dblclick", () => this.doubled());
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
      this.moved = 0;
      if (this.pointers.size > 1) this.cancel();
      else this.working = this.press(...this.pixel(...place(event)), event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      const now = place(event);
      if (!before || this.working) {
        const steps = this.working ? (event.getCoalescedEvents?.() ?? []) : [];
        for (const step of steps.length ? steps : [event]) this.move(...this.pixel(...place(step)), step);
        return;
      }
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
        this.zoomBy(far(now, other) / Math.max(1, far(before, other)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else {
        this.pan(now[0] - before[0], now[1] - before[1]);
      }
      this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      this.pointers.set(event.pointerId, now);
    });
    const release = (event) => {
      if (this.working) this.release(...this.pixel(...place(event)), event);
      else if (event.type === "pointerup" && this.moved < 6) this.choose(...place(event));
      this.working = false;
      this.pointers.delete(event.pointerId);
    };
    this.canvas.addEventListener("pointerup", release);
    this.canvas.addEventListener("pointercancel", release);
    this.canvas.addEventListener("keydown", (event) => {
      const far = this.canvas.width / 10;
      const does = {
        "+": () => this.zoomBy(STEP), "-": () => this.zoomBy(1 / STEP), 0: () => this.fit(),
        ArrowLeft: () => this.pan(far, 0), ArrowRight: () => this.pan(-far, 0),
        ArrowUp: () => this.pan(0, far), ArrowDown: () => this.pan(0, -far),
      }[event.key];
      if (event.key.startsWith("Arrow") && !this.walks()) return;
      if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      does();
    });
  }

  doubled() {
    this.fit();
  }

  walks() {
    return true;
  }

  /** The place in the picture, pixel centres at whole numbers, of one of the canvas. */
  pixel(x, y) {
    return [(x - this.left) / this.zoom - 0.5, (y - this.top) / this.zoom - 0.5];
  }

  /** The rectangle of the picture that is shown now. */
  inView() {
    const [left, top] = [Math.max(0, Math.floor(-this.left / this.zoom)), Math.max(0, Math.floor(-this.top / this.zoom))];
    const right = Math.min(this.size.width, Math.ceil((this.canvas.width - this.left) / this.zoom));
    const bottom = Math.min(this.size.height, Math.ceil((this.canvas.height - this.top) / this.zoom));
    return { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
  }

  /** A tool takes the pointer where this is true; then `move` and `release` follow, or `cancel`. */
  press() {
    return false;
  }

  move() {}

  release() {}

  cancel() {
    this.working = false;
  }

  /** Select the smallest defect whose rectangle holds a place of the canvas. */
  choose(x, y) {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const [column, row] = this.pixel(x, y);
    const hit = this.defects
      .filter((_, index) => pen.isPointInPath(this.rectangles[index], column, row))
      .sort((a, b) => a.area_px - b.area_px)[0];
    this.select(hit?.number ?? null, false);
    this.onselect(hit?.number ?? null);
  }
}

/** The smallest rectangle that holds two; null is none. */
export function joined(one, other) {
  if (!one || !other) return one ?? other;
  const [x, y] = [Math.min(one.x, other.x), Math.min(one.y, other.y)];
  const right = Math.max(one.x + one.width, other.x + other.width);
  const bottom = Math.max(one.y + one.height, other.y + other.height);
  return { x, y, width: right - x, height: bottom - y };
}

export function load(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(source));
    image.src = source;
  });
}

/** White of a mask as a colour, black as nothing. */
function tinted(image, [red, green, blue]) {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const shown = pixels.data[at];
    pixels.data.set([red, green, blue, shown], at);
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

export function path(polygons) {
  const drawn = new Path2D();
  for (const polygon of polygons) {
    polygon.forEach(([x, y], index) => (index ? drawn.lineTo(x, y) : drawn.moveTo(x, y)));
    drawn.closePath();
  }
  return drawn;
}
