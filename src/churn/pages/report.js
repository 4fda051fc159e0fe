"use strict";
(() => {
  document.documentElement.classList.remove("plain");
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);

  const written = (options) => {
    const format = new Intl.NumberFormat("en-US", options);
    return (value) => (value === null ? "–" : format.format(value).replace("-", "−"));
  };
  const share = written({ style: "percent", maximumFractionDigits: 0 });
  const percent = written({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const euros = written({ maximumFractionDigits: 0 });
  const signed = written({ maximumFractionDigits: 0, signDisplay: "exceptZero" });
  const count = euros;
  const forms = { share: percent, euros };

  /** The position of the value nearest to one that is looked for. */
  const nearest = (values, wanted) =>
    values.reduce((best, value, place) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? place : best), 0);

  /** A chart is read off by its slider; pointing at the chart moves the slider. */
  const makeReadable = (figure) => {
    const reader = figure.querySelector(".reader");
    if (!reader) return;
    const { points, axes: [x, y], frame: [left, top, wall, floor] } = data.charts[figure.dataset.chart];
    const [slider, output] = [reader.querySelector("input"), reader.querySelector("output")];
    const [svg, cursor] = [figure.querySelector("svg"), figure.querySelector(".cursor")];
    const across = (value) => left + ((wall - left) * (value - x.low)) / (x.high - x.low);
    const up = (value) => floor - ((floor - top) * (value - y.low)) / (y.high - y.low);

    const told = (place) => {
      const interval = points.low ? ` (95 % interval ${forms[y.form](points.low[place])} to ${forms[y.form](points.high[place])})` : "";
      return `${x.label}: ${forms[x.form](points.x[place])}; ${y.label}: ${forms[y.form](points.y[place])}${interval}`;
    };
    const show = (visible) => {
      const place = Number(slider.value);
      output.textContent = told(place);
      slider.setAttribute("aria-valuetext", told(place));
      cursor.querySelector("path").setAttribute("transform", `translate(${across(points.x[place])} 0)`);
      const circle = cursor.querySelector("circle");
      circle.setAttribute("cx", across(points.x[place]));
      circle.setAttribute("cy", up(points.y[place]));
      cursor.toggleAttribute("hidden", !visible);
    };
    const point = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const [ax, ay] = [place.x, place.y];
      const distance = points.x.map((value, i) => Math.abs(across(value) - ax) + 0.2 * Math.abs(up(points.y[i]) - ay));
      slider.value = nearest(distance, 0);
      show(true);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    slider.addEventListener("input", () => show(true));
    show(false);
  };
  document.querySelectorAll("figure[data-chart]").forEach(makeReadable);

  /* What other thresholds and costs would bring, by the counts at each stored threshold. */
  const form = document.querySelector("#explorer form");
  const customers = data.all_churners + data.all_stayers;
  const contacted = data.thresholds.map((_, place) => (data.churners[place] + data.stayers[place]) / customers);

  /** Profit per 1,000 customers at every stored threshold. */
  const profits = ({ value, offer, contact, acceptance }) => {
    const churner = acceptance * (value - offer) - contact;
    const stayer = -offer - contact;
    return data.churners.map((found, place) => (1000 * (found * churner + data.stayers[place] * stayer)) / customers);
  };

  const say = (id, text, exact) => {
    element(id).textContent = text;
    if (exact !== undefined) element(id).dataset.exact = exact;
  };
  const fill = (id, some, all) => {
    say(id, count(some), some);
    const cell = element(id).parentElement;
    cell.style.setProperty("--part", `${(100 * some) / (all || 1)}%`);
    cell.querySelector(".quiet").textContent = share(some / (all || 1));
  };

  const draw = (curve, place, best) => {
    const svg = element("what-if-chart");
    const [low, high] = [Math.min(...curve), Math.max(...curve)];
    const across = (i) => 8 + 424 * contacted[i];
    const up = (value) => 152 - (126 * (value - low)) / (high - low || 1);
    const put = (circle, i) => {
      circle.setAttribute("cx", across(i));
      circle.setAttribute("cy", up(curve[i]));
    };
    svg.querySelector(".line").setAttribute("d", "M" + curve.map((value, i) => `${across(i)} ${up(value)}`).join("L"));
    svg.querySelector(".zero").setAttribute("d", `M8 ${up(0)}H432`);
    put(svg.querySelector(".best"), best);
    put(svg.querySelector(".decision"), place);
  };

  const settings = () =>
    Object.fromEntries(["threshold", "value", "offer", "contact", "acceptance"].map((name) => [name, Number(form.elements[name].value)]));

  const compute = () => {
    const given = settings();
    const place = nearest(data.thresholds, given.threshold);
    const curve = profits(given);
    const best = curve.indexOf(Math.max(...curve));
    const [found, bothered] = [data.churners[place], data.stayers[place]];
    fill("hits", found, data.all_churners);
    fill("missed", data.all_churners - found, data.all_churners);
    fill("bothered", bothered, data.all_stayers);
    fill("spared", data.all_stayers - bothered, data.all_stayers);
    say("profit", euros(curve[place]), curve[place]);
    const over = curve[place] - curve[curve.length - 1];
    say("over-everybody", signed(over), over);
    say("share", share(contacted[place]), contacted[place]);
    say("stored", data.thresholds[place].toFixed(6), data.thresholds[place]);
    const most = curve[best] > 0 ? `contacting ${share(contacted[best])} (threshold ${data.thresholds[best].toFixed(3)}) would have brought most, ${euros(curve[best])} EUR` : "contacting nobody would have been best";
    say("hindsight", `In hindsight, at these costs, ${most}: it is known only because these customers’ outcomes are, and no threshold is chosen by them.`, data.thresholds[best]);
    draw(curve, place, best);
    const changed = given.threshold !== data.decision || Object.entries(data.costs).some(([name, value]) => given[name] !== value);
    document.querySelector(".changed").hidden = !changed;
  };

  const sliders = form.querySelectorAll("[data-for]");
  sliders.forEach((slider) => {
    const number = form.elements[slider.dataset.for];
    slider.addEventListener("input", () => {
      number.value = Number(Number(slider.value).toPrecision(4));
      compute();
    });
    number.addEventListener("input", () => {
      slider.value = number.value;
      compute();
    });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(compute));
  compute();
})();
