// SPDX-License-Identifier: Apache-2.0
// Finds text in the console. It reads the page's text and marks ranges of it; it makes no markup.
"use strict";
(() => {
  const box = document.getElementById("console"), form = document.getElementById("search");
  if (!box || !form || !window.CSS || !CSS.highlights) return;
  const [field, count] = [form.querySelector("input"), form.querySelector("output")];
  const most = 5000;
  let texts = null, hits = [], at = 0;
  // Only ASCII letters, so that places in the folded text are places in the text.
  const fold = text => text.replace(/[A-Z]+/g, letters => letters.toLowerCase());
  const range = hit => {
    const range = new Range();
    range.setStart(hit.node, hit.start);
    range.setEnd(hit.node, hit.start + hit.length);
    return range;
  };
  const find = () => {
    const wanted = fold(field.value);
    hits = [];
    at = 0;
    texts ??= [...box.querySelectorAll("pre")].map(part => part.firstChild).filter(node => node)
      .map(node => ({ node, text: fold(node.data) }));
    for (const { node, text } of wanted ? texts : []) {
      let start = text.indexOf(wanted);
      for (; start >= 0 && hits.length < most; start = text.indexOf(wanted, start + wanted.length))
        hits.push({ node, start, length: wanted.length });
    }
    CSS.highlights.set("found", new Highlight(...hits.map(range)));
    show();
  };
  const show = () => {
    CSS.highlights.delete("current");
    count.textContent = !field.value ? "" : !hits.length ? "none"
      : `${at + 1} of ${hits.length}${hits.length < most ? "" : " and more"}`;
    if (!hits.length) return;
    const found = range(hits[at]), current = new Highlight(found);
    current.priority = 1;
    CSS.highlights.set("current", current);
    const place = found.getBoundingClientRect(), frame = box.getBoundingClientRect();
    box.scrollTop += place.top - frame.top - box.clientHeight / 2;
  };
  const step = by => {
    if (hits.length) at = (at + by + hits.length) % hits.length;
    show();
  };
  let pause = 0;
  field.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(find, 150); });
  form.addEventListener("submit", event => { event.preventDefault(); step(1); });
  form.querySelector("button[type=button]").addEventListener("click", () => step(-1));
  form.hidden = false;
})();
