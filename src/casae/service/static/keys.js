/** Keys of the labelling page: presets after tools that people know, and what each person made of them. */
const KEPT = "casae-keys";

export const PRESETS = {
  casae: {
    brush: "b", eraser: "e", polygon: "p", scissors: "s", fill: "f", wand: "w", propose: "a", delete: "x", pan: "h",
    undo: "Ctrl+z", redo: "Ctrl+y", smaller: "[", larger: "]", protect: "l", submit: "Enter", next: "ArrowRight",
    previous: "ArrowLeft", accept_all: "Shift+A", fit: "0", help: "?",
  },
  CVAT: {
    brush: "b", eraser: "e", polygon: "n", scissors: "s", fill: "g", wand: "w", propose: "a", delete: "Delete", pan: "h",
    undo: "Ctrl+z", redo: "Ctrl+Shift+Z", smaller: "[", larger: "]", protect: "l", submit: "Ctrl+s", next: "f",
    previous: "d", accept_all: "Shift+A", fit: "0", help: "F1",
  },
  "Label Studio": {
    brush: "b", eraser: "e", polygon: "p", scissors: "s", fill: "f", wand: "w", propose: "a", delete: "Backspace",
    pan: "h", undo: "Ctrl+z", redo: "Ctrl+Shift+Z", smaller: "[", larger: "]", protect: "l", submit: "Ctrl+Enter",
    next: "Ctrl+ ", previous: "ArrowLeft", accept_all: "Shift+A", fit: "0", help: "?",
  },
  labelme: {
    brush: "b", eraser: "e", polygon: "Ctrl+n", scissors: "s", fill: "f", wand: "w", propose: "i", delete: "Delete",
    pan: "h", undo: "Ctrl+z", redo: "Ctrl+y", smaller: "[", larger: "]", protect: "l", submit: "Ctrl+s", next: "d",
    previous: "a", accept_all: "Shift+A", fit: "Ctrl+f", help: "?",
  },
};

/** The keys of this person: {preset, changed}. */
export function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT));
    return { preset: found.preset in PRESETS ? found.preset : "casae", changed: found.changed ?? {} };
  } catch {
    return { preset: "casae", changed: {} };
  }
}

export function keep(preset, changed) {
  localStorage.setItem(KEPT, JSON.stringify({ preset, changed }));
}

/** Action -> key. */
export function keysOf({ preset, changed }) {
  return { ...PRESETS[preset], ...changed };
}

/** How a key press is written: Ctrl+Shift+Z. */
export function written(event) {
  const held = [event.ctrlKey || event.metaKey ? "Ctrl" : "", event.altKey ? "Alt" : ""];
  const letter = /^[a-z]$/i.test(event.key);
  if (event.shiftKey && (letter || event.key.length > 1)) held.push("Shift");
  const key = letter ? (event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase()) : event.key;
  return [...held.filter(Boolean), key].join("+");
}
