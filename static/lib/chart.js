/*
 * A line chart over time: uPlot with our colours, a legend with values and units, the times of the reader, a table for
 * screen readers, and the keyboard.
 *
 *   const chart = createChart(place, { title: "Height", series: [{ label: "this node", format: count }], … });
 *   chart.setData([timesInSeconds, heights]);      // null where nothing is known
 *   chart.append([time, height]);                  // live; keeps at most `pointsMax` points
 */
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { h } from "./elements.js";
import { bytes, bytesPerSecond, count, timeLocal } from "./format.js";
import { chartLegend, chartTable } from "./chart-words.js";

const SERIES_COLOURS = 8;
// Steps of an axis of bytes, 1 B to 512 TiB, so that its numbers are round in KiB and MiB.
const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
// Steps of an axis of numbers that are counted, 1 to 5e15: there are no halves.
const WHOLE_STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
// Steps of an axis of seconds that are none of the clock, 1 ms to 7 days.
const CLOCKLESS_STEPS = [
  ...[0.001, 0.01, 0.1].flatMap((step) => [step, 2 * step, 5 * step]), 1, 2, 5, 10, 15, 30,
  60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
];
const charts = new Set();

document.addEventListener("themechange", () => {
  for (const chart of charts) chart.repaint();
});

/**
 * Options: `title`; `series`: `[{ label, format(value), colour (1..8), kind: "line" | "steps" | "points" | "bars", fill,
 * isDashed, isHidden }]`; `height` in px; `sync`: charts of one name share the cursor; `zoomed(from, to)`: the reader dragged over
 * a span (Dates), by default the chart zooms itself; `pointsMax` for `append`; `empty`: what to say without data;
 * `unzoomed()`: the reader wants to see all again; `picked(moment)`: the reader clicked at a Date, or pressed Enter there;
 * `bands()`: `[{ from, to, label }]` (seconds) shaded behind, as times when a node was away; `marks()`: moments (seconds)
 * with a line each; `min`, `max` of the scale; `isLog`: the scale is logarithmic, for values above 0;
 * `formatTime(seconds)`: for times that are none of the clock, such as seconds since a start.
 */
export function createChart(place, options) {
  return new Chart(place, options);
}

class Chart {
  #options;
  #plot;
  #data;
  #figure;
  #canvas;
  #legend;
  #table;
  #empty;
  #colours = {};
  #observer;
  #frame = 0;
  #span = null;
  #isZoomed = false;

  constructor(place, options) {
    this.#options = { height: 180, pointsMax: 2000, empty: "No data", ...options };
    this.#data = [[], ...this.#options.series.map(() => [])];
    this.#build(place);
    charts.add(this);
  }

  /** Columns: times in seconds, ascending, then one array for each series. `span`: `{ from, to }` (Dates) of the axis. */
  setData(data, span = null) {
    this.#data = data;
    this.#span = span;
    this.#isZoomed = false;
    this.#show();
  }

  /** One more point: a time, then a value for each series. */
  append(point) {
    this.#data.forEach((column, index) => {
      column.push(point[index] ?? null);
      if (column.length > this.#options.pointsMax) column.splice(0, column.length - this.#options.pointsMax);
    });
    this.#show();
  }

  /** Draws again, for colours or bands changed. */
  repaint() {
    this.#readColours();
    this.#plot.redraw(true, true);
    this.#legend.show(null);
  }

  destroy() {
    charts.delete(this);
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
    this.#plot.destroy();
    this.#figure.remove();
  }

  #build(place) {
    const { title, series, height, empty } = this.#options;
    this.#canvas = h("div", {
      class: "chart-canvas", tabindex: 0, role: "img", "aria-label": title,
      onkeydown: (event) => this.#key(event), onblur: () => this.#plot.setCursor({ left: -10, top: -10 }), ondblclick: () => this.#unzoom(),
      title: `Drag over a span to zoom, double click to see all${this.#options.picked ? ", click to pick a moment" : ""}. Keys: arrows, +, 0${this.#options.picked ? ", Enter" : ""}`,
    });
    this.#empty = h("p", { class: "chart-empty" }, empty);
    this.#legend = chartLegend(series, {
      formatTime: this.#options.formatTime,
      data: () => this.#data, colour: (index) => this.#colour(index),
      toggled: (index, isShown) => this.#plot.setSeries(index + 1, { show: isShown }),
    });
    this.#table = chartTable(title, series, () => this.#data, this.#options.formatTime);
    this.#figure = h("figure", { class: "chart" },
      h("figcaption", {}, h("span", { class: "chart-title" }, title), this.#legend.element),
      h("div", { class: "chart-place" }, this.#canvas, this.#empty, this.#legend.time), this.#table.element);
    place.append(this.#figure);
    this.#readColours();
    this.#plot = new uPlot(this.#plotOptions(this.#canvas.clientWidth || 600, height), this.#data, this.#canvas);
    this.#observer = new ResizeObserver(() => {
      const width = this.#canvas.clientWidth;
      if (width && width !== this.#plot.width) this.#plot.setSize({ width, height });
    });
    this.#observer.observe(this.#canvas);
    if (this.#options.picked) this.#listenForPicks(this.#plot.over);
    this.#show();
  }

  #plotOptions(width, height) {
    const { series, sync, min = null, max = null, isLog = false, formatTime } = this.#options;
    const times = formatTime ? { incrs: CLOCKLESS_STEPS, values: (_, ticks) => ticks.map(formatTime) } : { values: timeTicks };
    const axis = { stroke: () => this.#colours.quiet, grid: { stroke: () => this.#colours.line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      width, height, padding: [8, 24, 0, 0], legend: { show: false },
      cursor: { sync: sync ? { key: sync } : undefined, drag: { x: true, y: false, setScale: false }, y: false },
      scales: { x: { time: !formatTime }, y: { distr: isLog ? 3 : 1, range: (_, low, high) => (isLog ? logRangeOf(low, high) : rangeOf(low, high, min, max)) } },
      axes: [
        // Room for hours with seconds.
        { ...axis, ...times, space: 75 },
        {
          ...axis, size: 70, incrs: isLog ? undefined : stepsOf(series[0]?.format),
          values: (_, ticks) => (this.#isEmpty() ? [] : ticks.map((tick) => (tick === null ? "" : (series[0].format ?? count)(tick)))),
        },
      ],
      series: [{}, ...series.map((one, index) => this.#seriesOptions(one, index))],
      hooks: {
        setCursor: [(plot) => this.#legend.show(plot.cursor.idx ?? null)],
        setSelect: [(plot) => this.#selected(plot)],
        drawClear: [(plot) => this.#drawBands(plot)], draw: [(plot) => this.#drawMarks(plot)],
      },
    };
  }

  #seriesOptions(one, index) {
    const paths = { steps: () => uPlot.paths.stepped({ align: 1 }), bars: () => uPlot.paths.bars({ size: [0.8, 40] }), points: () => () => null }[one.kind];
    return {
      label: one.label, show: !one.isHidden, spanGaps: false, width: 1.5, stroke: () => this.#colour(index),
      fill: one.fill || one.kind === "bars" ? () => translucent(this.#colour(index), one.kind === "bars" ? 0.7 : 0.15) : undefined,
      dash: one.isDashed ? [6, 4] : undefined, paths: paths?.(), points: { show: one.kind === "points" ? true : undefined, size: 5 },
    };
  }

  #colour(index) {
    const { series } = this.#options;
    return this.#colours[`series-${series[index].colour ?? (index % SERIES_COLOURS) + 1}`];
  }

  /** Canvases have no CSS variables: an element gives their values. */
  #readColours() {
    const probe = h("span", { hidden: true });
    document.body.append(probe);
    const names = ["text", "quiet", "line", "raised", "accent", ...Array.from({ length: SERIES_COLOURS }, (_, index) => `series-${index + 1}`)];
    for (const name of names) {
      probe.style.color = `var(--${name})`;
      this.#colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
  }

  #show() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#empty.hidden = !this.#isEmpty();
      this.#plot.setData(this.#data, false);
      if (!this.#isZoomed) this.resetZoom();
      const { left } = this.#plot.cursor;
      this.#legend.show(left >= 0 && this.#data[0].length > 0 ? this.#plot.posToIdx(left) : null);
      this.#table.show();
      this.#canvas.setAttribute("aria-label", `${this.#options.title}. ${this.#table.summary()}`);
    });
  }

  #isEmpty() {
    return this.#data.slice(1).every((column) => column.every((value) => value === null || value === undefined));
  }

  /** Shows the whole span again. */
  resetZoom() {
    this.#isZoomed = false;
    const times = this.#data[0];
    const min = this.#span ? this.#span.from.getTime() / 1000 : times[0];
    const max = this.#span ? this.#span.to.getTime() / 1000 : times.at(-1);
    if (min !== undefined) this.#plot.setScale("x", { min, max: max > min ? max : min + 1 });
  }

  #unzoom() {
    if (this.#options.unzoomed) this.#options.unzoomed();
    else this.resetZoom();
  }

  /** A click picks a moment; the end of a drag does not. */
  #listenForPicks(over) {
    let pressedAt = 0;
    let timer = 0;
    over.addEventListener("mousedown", (event) => { pressedAt = event.clientX; });
    over.addEventListener("click", (event) => {
      clearTimeout(timer);
      if (Math.abs(event.clientX - pressedAt) > 3 || event.detail > 1) return;
      const seconds = this.#plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x");
      // It may be the first half of a double click.
      timer = setTimeout(() => this.#options.picked(new Date(seconds * 1000)), 250);
    });
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#zoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  }

  #zoom(min, max) {
    if (this.#options.zoomed) this.#options.zoomed(new Date(min * 1000), new Date(max * 1000));
    else {
      this.#isZoomed = true;
      this.#plot.setScale("x", { min, max });
    }
  }

  /** Arrows move the cursor, + zooms about it, Enter picks it, 0 and Escape show all. */
  #key(event) {
    const times = this.#data[0];
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -times.length, End: times.length };
    const at = this.#plot.cursor.idx ?? times.length;
    if (times.length > 0 && steps[event.key]) {
      const index = Math.max(0, Math.min(times.length - 1, at + steps[event.key]));
      this.#plot.setCursor({ left: this.#plot.valToPos(times[index], "x"), top: 0 });
      this.#canvas.setAttribute("aria-label", `${this.#options.title}. ${this.#table.words(index)}`);
    } else if (event.key === "+" && times.length > 2) {
      const { min, max } = this.#plot.scales.x;
      const middle = times[Math.min(at, times.length - 1)];
      this.#zoom(Math.max(min, middle - (max - min) / 4), Math.min(max, middle + (max - min) / 4));
    } else if (event.key === "Enter" && this.#options.picked && at < times.length) this.#options.picked(new Date(times[at] * 1000));
    else if (event.key === "0" || event.key === "Escape") this.#unzoom();
    else return;
    event.preventDefault();
  }

  #drawBands(plot) {
    const bands = this.#options.bands?.() ?? [];
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = this.#colours.raised;
    for (const { from, to } of bands) {
      const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }

  #drawMarks({ ctx, bbox, scales, valToPos }) {
    ctx.save();
    ctx.strokeStyle = this.#colours.accent;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.setLineDash([]);
    for (const seconds of this.#options.marks?.() ?? []) {
      if (seconds < scales.x.min || seconds > scales.x.max) continue;
      const x = valToPos(seconds, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
}

function stepsOf(format) {
  if (format === bytes || format === bytesPerSecond) return BINARY_STEPS;
  return format === undefined || format === count ? WHOLE_STEPS : undefined;
}

/** "rgb(1, 2, 3)", as browsers give computed colours, with an alpha. */
const translucent = (colour, alpha) => colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

/** A little room above and below; a line that does not move lies in the middle. */
function rangeOf(low, high, min, max) {
  if (low === null || high === null) return [min ?? 0, max ?? 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [min ?? low - room, max ?? high + room];
}

function logRangeOf(low, high) {
  return low > 0 ? uPlot.rangeLog(low, high, 10, false) : [1, 10];
}

/** Hours and minutes; the day where it changes, and seconds if the ticks are that near. */
function timeTicks(_, ticks) {
  let day = "";
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 60;
  return ticks.map((tick) => {
    const [date, time] = timeLocal(tick * 1000, step < 1).split(" ");
    const shown = step < 60 ? time : time.slice(0, 5);
    const isNew = date !== day;
    day = date;
    return isNew ? `${shown}\n${date}` : shown;
  });
}
