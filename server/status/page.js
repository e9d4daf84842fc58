"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const filter = byId("filter"), problems = byId("problems"), shown = byId("shown"), live = byId("live");

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const relative = (at) => {
    const seconds = Math.round((Date.now() - at) / 1000), size = Math.abs(seconds);
    const [unit, name] = units.find(([u]) => size >= u) || [1, "s"];
    const text = Math.floor(size / unit) + " " + name;
    return seconds < 0 ? "in " + text : text + " ago";
  };
  const tell = (root) => {
    for (const time of root.querySelectorAll("time")) {
      if (!time.title) time.title = time.textContent;
      const text = relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const rows = () => document.querySelectorAll("main section > .scroll > table > tbody > tr");
  const matches = (row) =>
    (!problems.checked || row.dataset.level === "bad" || row.dataset.level === "warn") &&
    row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());
  const apply = () => {
    let all = 0, visible = 0;
    for (const row of rows()) {
      row.hidden = !matches(row);
      all++;
      if (!row.hidden) visible++;
    }
    shown.textContent = visible === all ? "" : visible + " of " + all + " rows";
  };

  // place puts a row where its table's order has it.
  const place = (table, row) => {
    const after = Array.prototype.find.call(table.rows, (other) => other !== row && other.dataset.sort > row.dataset.sort);
    if (row.nextElementSibling !== (after || null) || row.parentNode !== table) table.insertBefore(row, after || null);
  };
  const change = ({id, table, html}) => {
    const made = document.createElement("template");
    made.innerHTML = html;
    const next = made.content.firstElementChild, old = byId(id);
    let refocus;
    tell(next);
    if (old) {
      const before = old.querySelector("details"), details = next.querySelector("details");
      const focused = before && before.contains(document.activeElement);
      if (before && details) details.open = before.open;
      old.replaceWith(next);
      if (focused && details) refocus = details.firstElementChild;
    }
    if (table && byId(table)) place(byId(table), next);
    if (refocus) refocus.focus();
  };

  const follow = () => {
    const events = new EventSource("events");
    events.onopen = () => { live.textContent = "live"; };
    events.onerror = () => {
      live.textContent = "not live: the connection is lost, and tried again";
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 10000);
    };
    events.onmessage = (event) => {
      const told = JSON.parse(event.data), list = told.rows || [];
      if (told.all) {
        const known = new Set(list.map((row) => row.id));
        for (const row of rows()) if (!known.has(row.id)) row.remove();
      }
      for (const id of told.gone || []) if (byId(id)) byId(id).remove();
      list.forEach(change);
      document.querySelector(".made time").dateTime = new Date().toISOString();
      apply();
      tell(document);
    };
  };

  filter.addEventListener("input", apply);
  problems.addEventListener("change", apply);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== filter && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && document.activeElement === filter) {
      filter.value = "";
      apply();
    }
  });
  byId("filters").hidden = false;
  tell(document);
  apply();
  setInterval(() => tell(document), 5000);
  follow();
})();
