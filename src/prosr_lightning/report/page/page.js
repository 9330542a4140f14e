"use strict";
(() => {
  // Seeds fold away until they are asked for.
  for (const button of document.querySelectorAll("button.seeds")) {
    const rows = [];
    for (let row = button.closest("tr").nextElementSibling; row && row.classList.contains("seed"); row = row.nextElementSibling) rows.push(row);
    const show = (open) => { button.setAttribute("aria-expanded", open); rows.forEach((row) => { row.hidden = !open; }); };
    button.hidden = rows.length === 0;
    button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
    show(false);
  }

  // Printed rows that nobody ran fold away where others have runs beside them.
  for (const table of document.querySelectorAll("table.paper")) {
    const rows = [...table.querySelectorAll("tr.unrun")];
    if (!rows.length || rows.length === table.querySelectorAll("tbody tr").length) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unrun";
    const show = (open) => {
      rows.forEach((row) => { row.hidden = !open; });
      button.setAttribute("aria-expanded", open);
      button.textContent = `${open ? "Hide" : "Show"} ${rows.length} printed ${rows.length === 1 ? "row" : "rows"} without a run`;
    };
    button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
    table.closest(".scroll").after(button);
    show(false);
  }

  // Several figures in one place: one is shown, buttons choose.
  for (const figure of document.querySelectorAll("figure.switchable")) {
    const charts = [...figure.querySelectorAll(".chart")];
    if (charts.length < 2) continue;
    const bar = document.createElement("div");
    bar.className = "modes";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Which figure");
    const choose = (chosen) => charts.forEach((chart, at) => {
      chart.hidden = chart !== chosen;
      bar.children[at].setAttribute("aria-pressed", chart === chosen);
    });
    for (const chart of charts) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = chart.dataset.name.replace(/^(Convergence:|Parameters and PSNR,) /, "");
      button.addEventListener("click", () => choose(chart));
      bar.append(button);
    }
    figure.prepend(bar);
    choose(charts[0]);
  }

  // Figures tell the values of the nearest point.
  const tip = document.querySelector(".tip");
  const hide = () => { tip.hidden = true; };
  const light = (chart, series) => {
    for (const svg of chart.querySelectorAll("svg")) {
      const groups = svg.querySelectorAll('[id*="-series-"]');
      svg.classList.toggle("dim", series !== null && groups.length > 0);
      groups.forEach((group) => group.classList.toggle("lit", group.id.includes(`-series-${series}-`)));
    }
  };
  for (const chart of document.querySelectorAll(".chart")) {
    const dots = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
    for (const kind of ["wide", "narrow"]) {
      const svg = chart.querySelector(`.${kind} svg`);
      const spot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      spot.setAttribute("class", "spot");
      spot.setAttribute("r", "6");
      spot.style.display = "none";
      svg.append(spot);
      const leave = () => { hide(); spot.style.display = "none"; light(chart, null); };
      svg.addEventListener("pointermove", (event) => {
        const matrix = svg.getScreenCTM();
        const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
        let nearest = null, least = 28 ** 2;
        for (const dot of dots[kind]) {
          const distance = (dot[0] - at.x) ** 2 + (dot[1] - at.y) ** 2;
          if (distance < least) { least = distance; nearest = dot; }
        }
        if (!nearest) { leave(); return; }
        spot.setAttribute("cx", nearest[0]);
        spot.setAttribute("cy", nearest[1]);
        spot.style.display = "";
        light(chart, nearest[2] < 0 ? null : nearest[2]);
        tip.textContent = nearest[3];
        tip.hidden = false;
        const place = new DOMPoint(nearest[0], nearest[1]).matrixTransform(matrix), box = tip.getBoundingClientRect();
        tip.style.left = `${Math.max(8, Math.min(place.x + 14, innerWidth - box.width - 8))}px`;
        tip.style.top = `${place.y - box.height - 12 < 8 ? place.y + 14 : place.y - box.height - 12}px`;
      });
      svg.addEventListener("pointerleave", leave);
    }
  }
  addEventListener("scroll", hide, { passive: true });
  for (const button of document.querySelectorAll(".legend button")) {
    const charts = button.closest("figure").querySelectorAll(".chart");
    const on = () => charts.forEach((chart) => light(chart, button.dataset.series));
    const off = () => charts.forEach((chart) => light(chart, null));
    button.addEventListener("pointerenter", on);
    button.addEventListener("focus", on);
    button.addEventListener("pointerleave", off);
    button.addEventListener("blur", off);
  }

  // Two results of a picture on either side of a line.
  for (const figure of document.querySelectorAll("figure.compare")) {
    const views = [...figure.querySelectorAll(".strip img")];
    const stage = figure.querySelector(".stage"), range = stage.querySelector("input"), strip = figure.querySelector(".strip");
    const sides = {};
    const name = (view) => view.dataset.label + (view.dataset.psnr ? `, ${view.dataset.psnr} dB` : "");
    const move = () => {
      stage.style.setProperty("--split", `${range.value}%`);
      range.setAttribute("aria-valuetext", `${range.value} percent ${name(views[sides.left.value])}, the rest ${name(views[sides.right.value])}`);
    };
    const set = (side, at) => {
      sides[side].value = at;
      const image = stage.querySelector(`img.${side}`);
      image.src = views[at].src;
      image.alt = views[at].alt;
      stage.querySelector(`.at-${side}`).textContent = name(views[at]);
      if (sides.right) move();
    };
    const scores = views.map((view) => Number.parseFloat(view.dataset.psnr) || 0);
    const start = { left: 0, right: scores.indexOf(Math.max(...scores.slice(1))) };
    for (const side of ["left", "right"]) {
      sides[side] = figure.querySelector(`.for-${side}`);
      views.forEach((view, at) => sides[side].add(new Option(name(view), at)));
      sides[side].addEventListener("change", () => set(side, Number(sides[side].value)));
      set(side, start[side]);
    }
    range.addEventListener("input", move);
    views.forEach((view, at) => view.addEventListener("click", () => set("right", at)));
    strip.classList.add("live");
    stage.hidden = figure.querySelector(".choose").hidden = false;
    move();
  }
})();
