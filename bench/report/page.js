"use strict";
// Everything the page says is in its HTML; this adds what needs a hand: switching, sorting, filtering, comparing pictures.
(function () {
  function all(selector, inside) { return Array.prototype.slice.call((inside || document).querySelectorAll(selector)); }
  function one(id) { return document.getElementById(id); }

  // Inside another page's frame a link to #section would load that page again: go there by hand.
  all('a[href^="#"]').forEach(function (link) {
    link.addEventListener("click", function (event) {
      var target = one(link.getAttribute("href").slice(1));
      if (!target) { return; }
      event.preventDefault();
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    });
  });

  all(".facet").forEach(function (facet) {
    var charts = all("figure.trade-off", facet), choice = facet.querySelector(".switch");
    if (!choice) { return; }
    function show(index) { charts.forEach(function (chart, i) { chart.hidden = i !== index; }); }
    choice.hidden = false;
    show(0);
    choice.addEventListener("change", function (event) { show(Number(event.target.value)); });
  });

  var models = all(".legend input");
  models.forEach(function (box) {
    box.hidden = models.length < 2;
    box.addEventListener("change", function () {
      all('.curve[data-hue="' + box.dataset.hue + '"]').forEach(function (curve) { curve.style.display = box.checked ? "" : "none"; });
    });
  });

  // The table of all cells -------------------------------------------------------------------------------------------
  var table = one("all-cells");
  if (table) {
    var body = table.tBodies[0], rows = all("tr", body), heads = all("thead th", table);
    var sortable = function (row, column) {
      var cell = row.cells[column], value = cell.dataset.sort;
      return value === undefined ? cell.textContent : value === "" ? Infinity : Number(value);
    };
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        rows.sort(function (a, b) {
          var x = sortable(a, column), y = sortable(b, column), order = x < y ? -1 : x > y ? 1 : 0;
          // What was not measured comes last both ways.
          return down && x !== Infinity && y !== Infinity ? -order : order;
        });
        var sorted = document.createDocumentFragment();
        rows.forEach(function (row) { sorted.appendChild(row); });
        body.appendChild(sorted);
      });
    });
    var filter = one("filter"), matches = one("matches");
    filter.closest(".filter").hidden = false;
    filter.addEventListener("input", function () {
      var words = filter.value.toLowerCase().split(/\s+/), seen = 0;
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase(), fits = words.every(function (word) { return text.indexOf(word) >= 0; });
        row.hidden = !fits;
        seen += fits ? 1 : 0;
      });
      matches.textContent = seen + " of " + rows.length + " cells";
    });
  }

  // Two reconstructions against each other ----------------------------------------------------------------------------
  var viewer = one("viewer"), cases = all("details.case");
  if (viewer && cases.length) {
    var choice = { patient: one("case"), left: one("left"), right: one("right") };
    var stage = viewer.querySelector(".stage"), beside = viewer.querySelector(".beside"), swap = one("swap"), timer = 0, showsRight = false;
    var still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    var figures = function (kind) { return all('figure[data-kind="' + kind + '"]', cases[choice.patient.value]); };
    var option = function (select, value, words) {
      var made = document.createElement("option");
      made.value = value;
      made.textContent = words;
      select.appendChild(made);
    };
    var put = function (id, figure) {
      var source = figure.querySelector("img");
      one(id).src = source.src;
      one(id).alt = source.alt;
    };
    var mode = function () { return viewer.querySelector('input[name="mode"]:checked').value; };
    var fill = function () {
      var images = figures("image"), kept = [choice.left.selectedIndex, choice.right.selectedIndex];
      [choice.left, choice.right].forEach(function (select, side) {
        select.textContent = "";
        images.forEach(function (figure, index) { option(select, index, figure.querySelector("figcaption").textContent); });
        select.selectedIndex = kept[side] >= 0 && kept[side] < images.length ? kept[side] : Math.min(side, images.length - 1);
      });
      show();
    };
    var show = function () {
      var images = figures("image"), errors = figures("error");
      [["left", choice.left], ["right", choice.right]].forEach(function (side) {
        var image = images[side[1].value], pair = image.dataset.pair.split(" ");
        put("image-" + side[0], image);
        put("error-" + side[0], errors[side[1].value]);
        put("mask-" + side[0], figures("mask").filter(function (figure) { return figure.dataset.pair === pair[1]; })[0]);
        if (side[0] === "left") {
          put("truth", figures("truth").filter(function (figure) { return figure.dataset.pair === pair[0]; })[0]);
        } else {
          put("image-beside", image);
        }
      });
      arrange();
    };
    var arrange = function () {
      var how = mode(), right = one("image-right"), left = choice.left.selectedOptions[0].textContent, other = choice.right.selectedOptions[0].textContent;
      beside.hidden = how !== "beside";
      viewer.querySelector(".panes").classList.toggle("side", how === "beside");
      right.hidden = how === "beside";
      one("divider").hidden = one("divide-label").hidden = how !== "slider";
      swap.hidden = how !== "flicker";
      right.style.visibility = how === "flicker" && !showsRight ? "hidden" : "visible";
      right.style.clipPath = "";
      window.clearInterval(timer);
      if (how === "slider") {
        var at = Number(one("divide").value), zoom = Number(one("zoom").value), origin = Number(one("across").value);
        // The clip moves with the enlarged image: back to the image's own share.
        right.style.clipPath = "inset(0 0 0 " + Math.max(0, Math.min(100, origin + (at - origin) / zoom)) + "%)";
        one("divider").style.left = at + "%";
        one("stage-words").textContent = "A, left of the line, and B, right of it";
      } else if (how === "flicker") {
        one("stage-words").textContent = showsRight ? "B" : "A";
        swap.textContent = still ? (showsRight ? "Show A" : "Show B") : swap.dataset.stopped ? "Flicker" : "Stop";
        // One change in 0.8 s: far below what could harm anybody.
        if (!still && !swap.dataset.stopped) { timer = window.setInterval(function () { showsRight = !showsRight; right.style.visibility = showsRight ? "visible" : "hidden"; one("stage-words").textContent = showsRight ? "B" : "A"; }, 800); }
      } else {
        one("stage-words").textContent = "A";
      }
      // Only when it changes: screen readers say it again otherwise, at every step of a slider.
      var words = "A: " + left + ". B: " + other + ".";
      if (one("seen").textContent !== words) { one("seen").textContent = words; }
    };
    var look = function () {
      var level = Number(one("level").value) / 100, width = Number(one("width").value) / 100, slope = 1 / width;
      all("#window feComponentTransfer > *").forEach(function (part) {
        part.setAttribute("slope", slope);
        part.setAttribute("intercept", 0.5 - level * slope);
      });
      viewer.style.setProperty("--zoom", one("zoom").value);
      viewer.style.setProperty("--x", one("across").value + "%");
      viewer.style.setProperty("--y", one("down").value + "%");
      arrange();
    };
    cases.forEach(function (details, index) { option(choice.patient, index, details.dataset.name); });
    choice.patient.addEventListener("change", fill);
    [choice.left, choice.right].forEach(function (select) { select.addEventListener("change", show); });
    all('input[name="mode"]', viewer).forEach(function (radio) { radio.addEventListener("change", function () { showsRight = false; arrange(); }); });
    one("divide").addEventListener("input", arrange);
    swap.addEventListener("click", function () {
      if (still) { showsRight = !showsRight; } else { swap.dataset.stopped = swap.dataset.stopped ? "" : "yes"; }
      arrange();
    });
    ["level", "width", "zoom", "across", "down"].forEach(function (id) { one(id).addEventListener("input", look); });
    one("reset").addEventListener("click", function () {
      [["level", 50], ["width", 100], ["zoom", 1], ["across", 50], ["down", 50], ["divide", 50]].forEach(function (pair) { one(pair[0]).value = pair[1]; });
      look();
    });
    // Dragging moves the enlarged picture; the sliders do the same for a keyboard. A drag that began elsewhere is none.
    all(".frame:not(.still)", viewer).forEach(function (frame) {
      var last = null;
      frame.addEventListener("pointerdown", function (event) { last = event.button === 0 ? event : null; });
      frame.addEventListener("pointermove", function (event) {
        if (!(event.buttons & 1)) { last = null; }
        if (!last) { return; }
        var zoom = Number(one("zoom").value) - 1 || 1;
        one("across").value = Number(one("across").value) - 100 * (event.clientX - last.clientX) / frame.clientWidth / zoom;
        one("down").value = Number(one("down").value) - 100 * (event.clientY - last.clientY) / frame.clientHeight / zoom;
        last = event;
        look();
      });
      frame.addEventListener("dragstart", function (event) { event.preventDefault(); });
    });
    viewer.hidden = false;
    cases.forEach(function (details) { details.open = false; });
    fill();
    look();
  }

  // The methods paragraph -----------------------------------------------------------------------------------------------
  var copy = one("copy");
  copy.hidden = false;
  copy.addEventListener("click", function () {
    var done = false;
    window.getSelection().selectAllChildren(one("methods-text"));
    try { done = document.execCommand("copy"); } catch (error) { done = false; }
    one("copied").textContent = done ? "Copied." : "Selected: press Ctrl+C.";
  });

  window.addEventListener("beforeprint", function () { all("details").forEach(function (details) { details.open = true; }); });
})();
