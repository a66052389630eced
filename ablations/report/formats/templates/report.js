"use strict";

const collator = new Intl.Collator("en", { numeric: true });

// What a row is sorted by: a number in a column that has any, else text; null where there is nothing.
function keyOf(cell, numeric) {
  if (numeric) return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  const text = cell.textContent.trim();
  return text === "" || text === "\u2013" ? null : text;
}

// Ascending first, then the other way round; gaps come last both times, equal rows stay as they are.
function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const order = heads[column].getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numeric = rows.some((row) => "value" in row.cells[column].dataset);
  const keys = new Map(rows.map((row) => [row, keyOf(row.cells[column], numeric)]));
  const sign = order === "ascending" ? 1 : -1;
  rows.sort((one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (numeric ? a - b : collator.compare(a, b));
  });
  body.append(...rows);
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", order);
}

for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "tooltip");
tip.hidden = true;
document.body.append(tip);

// Placed in the page, not in the window, so that it stays with its mark when a focus makes the page scroll.
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const gap = 14;
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - 4;
  tip.style.left = `${window.scrollX + Math.max(4, Math.min(x + gap, room))}px`;
  tip.style.top = `${window.scrollY + (y - height - gap < 4 ? y + gap : y - height - gap)}px`;
}

// Each mark of a figure takes over its own title, which the browser would show a second time. Tab goes to a figure's
// marks as one; the arrow keys go from mark to mark. An <svg> that listened to the focus could be focused itself.
for (const figure of document.querySelectorAll("figure")) {
  const marks = [];
  for (const title of figure.querySelectorAll("svg title")) {
    const mark = title.parentElement;
    mark.setAttribute("aria-label", title.textContent.trim());
    title.remove();
    if (mark.localName === "svg") continue;
    mark.setAttribute("role", "img");
    mark.setAttribute("tabindex", marks.length ? "-1" : "0");
    marks.push(mark);
  }
  const markAt = (target) => marks.findLast((mark) => mark.contains(target));
  // A pointer at rest passes over a figure that a focus scrolls by; it ends only what it has begun.
  let pointed = false;
  const follow = (event) => {
    const mark = event.type === "pointerleave" ? undefined : markAt(event.target);
    if (mark) showTip(mark.getAttribute("aria-label"), event.clientX, event.clientY);
    else if (pointed) tip.hidden = true;
    pointed = mark !== undefined;
  };
  for (const kind of ["pointerover", "pointermove", "pointerleave"]) figure.addEventListener(kind, follow);
  figure.addEventListener("focusin", (event) => {
    const mark = markAt(event.target);
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    showTip(mark.getAttribute("aria-label"), box.left + box.width / 2, box.top);
  });
  figure.addEventListener("focusout", () => (tip.hidden = true));
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const place = marks.indexOf(markAt(event.target));
    if (!step || place < 0) return;
    event.preventDefault();
    const next = marks[(place + step + marks.length) % marks.length];
    marks.forEach((mark) => mark.setAttribute("tabindex", mark === next ? "0" : "-1"));
    next.focus();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tip.hidden = true;
});

// A link to a folded section opens it, and so does printing until it is done.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const fold = target && target.closest("details");
  if (!fold) return;
  fold.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", openTarget);
openTarget();

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((fold) => (fold.open = true));
});
window.addEventListener("afterprint", () => opened.forEach((fold) => (fold.open = false)));
