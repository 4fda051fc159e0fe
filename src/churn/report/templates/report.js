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
  const money = written({ maximumFractionDigits: 0 });
  const signed = written({ maximumFractionDigits: 0, signDisplay: "exceptZero" });
  const count = money;
  const forms = { share: percent, money };

  /** Index of the value nearest to `wanted`. */
  const nearest = (values, wanted) =>
    values.reduce((best, value, place) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? place : best), 0);

  /** The slider moves the cursor of a chart; pointing at the chart moves the slider. */
  const makeReadable = (figure) => {
    const reader = figure.querySelector(".reader");
    if (!reader) return;
    const { points, decision, axes: [x, y], frame: [left, top, wall, floor] } = data.charts[figure.dataset.chart];
    const [slider, output] = [reader.querySelector("input"), reader.querySelector("output")];
    const [svg, cursor] = [figure.querySelector("svg"), figure.querySelector(".cursor")];
    const across = (value) => left + ((wall - left) * (value - x.low)) / (x.high - x.low);
    const up = (value) => floor - ((floor - top) * (value - y.low)) / (y.high - y.low);

    const pair = (across, up) => `${x.label}: ${forms[x.form](across)}; ${y.label}: ${forms[y.form](up)}`;
    const told = (place) => {
      /* Equal bounds mean that resampling had no effect, not that the value is certain. */
      const interval = points.low && points.low[place] < points.high[place] ? ` (95% interval ${forms[y.form](points.low[place])} to ${forms[y.form](points.high[place])})` : "";
      return pair(points.x[place], points.y[place]) + interval;
    };
    const tell = (text) => {
      output.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    const show = () => {
      const place = Number(slider.value);
      tell(told(place));
      cursor.querySelector("path").setAttribute("transform", `translate(${across(points.x[place])} 0)`);
      const circle = cursor.querySelector("circle");
      circle.setAttribute("cx", across(points.x[place]));
      circle.setAttribute("cy", up(points.y[place]));
      cursor.removeAttribute("hidden");
    };
    const point = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const [ax, ay] = [place.x, place.y];
      const distance = points.x.map((value, i) => Math.abs(across(value) - ax) + 0.2 * Math.abs(up(points.y[i]) - ay));
      slider.value = nearest(distance, 0);
      show();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    slider.addEventListener("input", show);
    /* The decision may lie between points of the curve, so its own values are shown until the slider moves. */
    tell(decision ? `The decision: ${pair(...decision)}` : told(Number(slider.value)));
  };
  document.querySelectorAll("figure[data-chart]").forEach(makeReadable);

  /* What-if analysis, from counts at decreasing thresholds. */
  const form = document.querySelector("#explorer form");
  const customers = data.all_churners + data.all_stayers;
  const contacted = data.thresholds.map((_, place) => (data.churners[place] + data.stayers[place]) / customers);

  /** Profit per 1,000 customers at each threshold. */
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

  /* Both curves share a scale, so that profits can be compared. Each begins at zero, with no one contacted. */
  const reference = profits(data.costs);
  const [left, wall, top, floor] = [70, 366, 30, 150];
  const draw = (curve, place, best) => {
    const svg = element("what-if-chart");
    const part = (name) => svg.querySelector(name);
    const [low, high] = [Math.min(...curve, ...reference), Math.max(...curve, ...reference)];
    const across = (i) => left + (wall - left) * contacted[i];
    const up = (value) => floor - ((floor - top) * (value - low)) / (high - low || 1);
    const path = (values) => "M" + values.map((value, i) => `${across(i)} ${up(value)}`).join("L");
    const put = (circle, i) => {
      circle.setAttribute("cx", across(i));
      circle.setAttribute("cy", up(curve[i]));
    };
    const label = (text, height, value) => {
      text.setAttribute("y", height + 4);
      text.textContent = value;
    };
    part(".reference").setAttribute("d", path(reference));
    part(".line").setAttribute("d", path(curve));
    put(part(".best"), best);
    put(part(".decision"), place);
    const last = curve[curve.length - 1];
    part(".zero").setAttribute("d", `M${left} ${up(0)}H${wall}`);
    part(".highest").setAttribute("d", `M${left} ${up(curve[best])}H${wall}`);
    label(part(".at-zero"), up(0), "0");
    label(part(".at-end"), up(last), money(last));
    /* Keep this label at least one line above that of zero, so that they do not overlap. */
    label(part(".at-highest"), Math.min(up(curve[best]), up(0) - 15), curve[best] > 0 ? money(curve[best]) : "");
  };

  const names = ["threshold", "value", "offer", "contact", "acceptance"];
  const settings = () => Object.fromEntries(names.map((name) => [name, Number(form.elements[name].value)]));

  /** Whether a field is valid; shows the allowed values if it is not. */
  const check = (name) => {
    const field = form.elements[name];
    const allowed = field.value !== "" && field.checkValidity();
    field.setAttribute("aria-invalid", String(!allowed));
    element(`${name}-allowed`).hidden = allowed;
    return allowed;
  };

  const compute = () => {
    const wrong = names.filter((name) => !check(name));
    if (wrong.length) {
      element("heard").textContent = `${form.elements[wrong[0]].labels[0].textContent}. ${element(`${wrong[0]}-allowed`).textContent}`;
      return;
    }
    const given = settings();
    /* The lowest threshold that is not below the given one, so that no customer below the given one is counted. */
    const place = data.thresholds.filter((one) => one >= given.threshold).length - 1;
    const curve = profits(given);
    const best = curve.indexOf(Math.max(...curve));
    const [found, bothered] = [data.churners[place], data.stayers[place]];
    fill("hits", found, data.all_churners);
    fill("missed", data.all_churners - found, data.all_churners);
    fill("bothered", bothered, data.all_stayers);
    fill("spared", data.all_stayers - bothered, data.all_stayers);
    say("profit", money(curve[place]), curve[place]);
    const over = curve[place] - curve[curve.length - 1];
    say("over-everybody", signed(over), over);
    say("share", share(contacted[place]), contacted[place]);
    say("counted", data.thresholds[place].toFixed(6), data.thresholds[place]);
    const most = curve[best] > 0 ? `contacting ${share(contacted[best])} (threshold ${data.thresholds[best].toFixed(3)}) would have earned the most, ${money(curve[best])} ${data.currency}` : "contacting no one would have been best";
    say("hindsight", `In hindsight, at these costs, ${most}. This uses the outcomes of the test customers, so no threshold is selected by it.`, data.thresholds[best]);
    draw(curve, place, best);
    const changed = given.threshold !== data.decision || Object.entries(data.costs).some(([name, value]) => given[name] !== value);
    document.querySelectorAll(".changed").forEach((one) => (one.hidden = !changed));
    const result = `${money(curve[place])} ${data.currency} per 1,000 customers, ${signed(over)} against contacting everyone, ${share(contacted[place])} contacted`;
    element("heard").textContent = result;
    element("settings").textContent = `Your settings: threshold ${given.threshold}; a customer is worth ${given.value} ${data.currency}, an offer costs ${given.offer}, a contact ${given.contact}; ${share(given.acceptance)} of churners accept. That is ${result}.`;
  };

  const sliders = form.querySelectorAll("[data-for]");
  sliders.forEach((slider) => {
    const number = form.elements[slider.dataset.for];
    slider.addEventListener("input", () => {
      number.value = Number(Number(slider.value).toPrecision(4));
      compute();
    });
    number.addEventListener("input", () => {
      if (check(number.name)) slider.value = number.value;
      compute();
    });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(compute));
  compute();
})();
