"use strict";
(() => {
  const all = (q, from = document) => [...from.querySelectorAll(q)];
  const button = (text, act) => {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = text;
    b.addEventListener("click", () => act(b));
    return b;
  };

  /* Times as the reader's clock shows them. What the page says itself comes back with the other button. */
  const times = all("time").map((t) => ({ t, text: t.textContent, at: t.dateTime }));
  const two = (n) => String(n).padStart(2, "0");
  const local = ({ text, at }) => {
    const d = new Date(at), digits = (text.match(/\.(\d+)/) || ["", ""])[1].length;
    const day = /\d{4}-/.test(text) ? `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` : "";
    const part = (at.match(/\.(\d+)/) || ["", ""])[1].padEnd(9, "0").slice(0, digits);
    return `${day}${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${digits ? "." + part : ""}`;
  };
  const zone = document.getElementById("zone");
  const own = zone.dataset.zone;
  const shows = (as_local) => (b) => {
    times.forEach((x) => { x.t.textContent = as_local ? local(x) : x.text; });
    all("button", zone).forEach((o) => o.setAttribute("aria-pressed", String(o === b)));
  };
  const first = button(own, shows(false));
  first.setAttribute("aria-pressed", "true");
  const second = button("my time", shows(true));
  second.setAttribute("aria-pressed", "false");
  zone.append(first, second);
  zone.setAttribute("role", "group");
  zone.setAttribute("aria-label", "Time zone");

  /* Copying needs no right where the text can only be selected. */
  all("code[data-copy]").forEach((code) => {
    const b = button("copy", () => {
      const done = () => { b.textContent = "copied"; setTimeout(() => { b.textContent = "copy"; }, 1500); };
      const select = () => getSelection().selectAllChildren(code);
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
      else select();
    });
    b.setAttribute("aria-label", `copy ${code.dataset.copy}`);
    code.after(b);
  });

  all("table[data-sort]").forEach((table) => {
    const heads = all("thead th", table);
    heads.forEach((th, n) => {
      const value = (tr) => { const c = tr.cells[n], v = c.dataset.v; return v === undefined ? c.textContent : Number(v); };
      const b = button(th.textContent, () => {
        const down = th.getAttribute("aria-sort") === "ascending";
        const rows = [...table.tBodies[0].rows];
        rows.sort((x, y) => { const a = value(x), c = value(y); return (a < c ? -1 : a > c ? 1 : 0) * (down ? -1 : 1); });
        table.tBodies[0].append(...rows);
        heads.forEach((o) => o.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
      th.replaceChildren(b);
    });
  });

  /* The list of incidents: by words, and by a bar of the timeline. */
  const list = document.querySelector("#listed table");
  const tools = document.getElementById("find");
  if (!list || !tools) return;
  const input = document.createElement("input");
  const label = document.createElement("label");
  const found = document.createElement("span");
  let bin = null;
  label.textContent = "Show only ";
  input.type = "search";
  input.placeholder = "cause, upstream, target";
  label.append(input);
  found.className = "dim";
  found.setAttribute("role", "status");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    [...list.tBodies[0].rows].forEach((tr) => {
      const text = tr.textContent.toLowerCase();
      const shown = words.every((w) => text.includes(w)) && (bin === null || tr.dataset.bin === bin);
      tr.hidden = !shown;
      n += shown ? 1 : 0;
    });
    found.textContent = `${n} shown`;
  };
  input.addEventListener("input", apply);
  const clear = button("all", () => { bin = null; input.value = ""; all(".hit").forEach((h) => h.classList.remove("on")); apply(); });
  tools.append(label, clear, found);
  all(".hit").forEach((hit) => hit.addEventListener("click", () => {
    bin = hit.dataset.bin;
    all(".hit").forEach((h) => h.classList.toggle("on", h === hit));
    list.closest("details").open = true;
    apply();
    tools.scrollIntoView();
  }));
})();
