/** Loss and score of the networks of a training, one beside the other, on a small canvas. */
export function curves(canvas, networks) {
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const names = Object.keys(networks).filter((name) => networks[name].length);
  const wide = canvas.width / Math.max(1, names.length);
  pen.font = "12px system-ui";
  names.forEach((name, index) => {
    const epochs = networks[name];
    const most = Math.max(...epochs.map((each) => each.loss));
    const last = epochs.at(-1).step || 1;
    const place = (step, height) => [index * wide + 4 + (step / last) * (wide - 12), 108 - height * 88];
    line(pen, style.getPropertyValue("--soft"), epochs.map((each) => place(each.step, each.loss / most)));
    const scored = epochs.filter((each) => each.score !== null);
    line(pen, style.getPropertyValue("--accent"), scored.map((each) => place(each.step, each.score)));
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillText(`${name}${scored.length ? ` ${scored.at(-1).score.toFixed(3)}` : ""}`, index * wide + 4, 12);
  });
}

function line(pen, colour, points) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  if (points.length !== 1) return;
  pen.fillStyle = colour; // one point makes no line
  pen.fillRect(points[0][0] - 3, points[0][1] - 3, 6, 6);
}
