"use strict";
// The live page: one server-sent event a second with every board; text goes in as text, never as markup.

const $ = (id) => document.getElementById(id);
const colors = getComputedStyle(document.documentElement);
const color = (name) => colors.getPropertyValue(name).trim();
const TONE = { online: "good", degraded: "warn", updating: "warn", "safe-mode": "bad", offline: "", lost: "bad" };
const FIGURES = [
  ["objects a frame", (b) => number(b.objects, 1)],
  ["frames a second", (b) => number(b.fps, 1)],
  ["latency p50", (b) => milliseconds(b.p50_s)],
  ["latency p99", (b) => milliseconds(b.p99_s)],
  ["frame age p99", (b) => milliseconds(b.age_p99_s)],
  ["memory", (b) => (b.rss_bytes == null ? "–" : `${(b.rss_bytes / 2 ** 20).toFixed(0)} MiB`)],
  ["processor", (b) => (b.cpu_percent == null ? "–" : `${b.cpu_percent.toFixed(0)} %`)],
  ["temperature", (b) => (b.soc_celsius == null ? "no sensor" : `${b.soc_celsius.toFixed(0)} °C${b.throttled ? ", throttled" : ""}`)],
  ["blind", (b) => (b.blind_s == null ? "–" : `${b.blind_s.toFixed(0)} s`)],
];
const chosen = { key: null };
const plots = {};

function number(value, digits) { return value == null ? "–" : value.toFixed(digits); }
function milliseconds(seconds) { return seconds == null ? "–" : `${(seconds * 1e3).toFixed(seconds < 0.01 ? 2 : 1)} ms`; }
function key(board) { return `${board.site}/${board.id}`; }

function badge(element, text, tone) {
  element.textContent = text;
  element.className = `badge ${tone ?? ""}`;
}

function showBoards(boards) {
  $("count").textContent = boards.length === 1 ? "1 board" : `${boards.length} boards`;
  if (chosen.key === null && boards.length) chosen.key = key(boards[0]);
  $("boards").replaceChildren(...boards.map((board) => {
    const button = document.createElement("button");
    button.textContent = `${key(board)} · ${board.state}`;
    button.setAttribute("aria-current", String(key(board) === chosen.key));
    button.onclick = () => choose(board, boards);
    return button;
  }));
  $("boards").hidden = boards.length < 2;
  const board = boards.find((one) => key(one) === chosen.key);
  $("board").hidden = !board;
  if (board) showBoard(board);
}

function choose(board, boards) {
  chosen.key = key(board);
  $("frame").hidden = true;
  $("sees").textContent = "waiting for a frame";
  showBoards(boards);
  history();
}

function showBoard(board) {
  $("name").textContent = key(board);
  badge($("state"), board.state, TONE[board.state]);
  const parts = [board.model, board.runtime, board.board, board.camera && `camera ${board.camera}`, `last seen ${board.seen_s.toFixed(0)} s ago`];
  $("about").textContent = parts.filter(Boolean).join(" · ");
  $("alarms").replaceChildren(...board.alarms.map((alarm) => {
    const item = document.createElement("li");
    item.textContent = `${alarm.id}: ${alarm.message}`;
    return item;
  }));
  $("figures").replaceChildren(...FIGURES.map(([name, text]) => {
    const box = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text(board);
    box.append(term, value);
    return box;
  }));
}

function plot(id, title, series, data) {
  if (plots[id]) { plots[id].setData(data); return; }
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  const clock = (_, times) => times.map((s) => new Date(s * 1e3).toLocaleTimeString([], { hour12: false }));
  plots[id] = new uPlot({
    title, width: width(id), height: 150, legend: { show: series.length > 1, live: false },
    axes: [{ ...axis, values: clock, space: 90 }, { ...axis, size: 50 }],
    scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.15, 0.1)] } },
    series: [{}, ...series.map(([label, stroke]) => ({ label, stroke: color(stroke), width: 2, points: { show: false } }))],
  }, data, $(id));
}

function width(id) { return Math.max(280, $(id).clientWidth - 14); }

function resize() {
  for (const [id, chart] of Object.entries(plots)) chart.setSize({ width: width(id), height: 150 });
}

async function history() {
  if (!chosen.key) return;
  const windows = await (await fetch(`api/boards/${chosen.key}/history`)).json();
  const column = (name, factor) => windows.map((w) => (w[name] == null ? null : w[name] * factor));
  const times = column("ts", 1);
  plot("latency", "latency, ms", [["p50", "--accent"], ["p99", "--warn"]], [times, column("p50_s", 1e3), column("p99_s", 1e3)]);
  plot("objects", "objects found in a frame", [["objects", "--good"]], [times, column("objects", 1)]);
}

async function frame() {
  if (chosen.key && !document.hidden) {
    try {
      const answer = await fetch(`api/boards/${chosen.key}/frame`);
      if (document.body.classList.contains("stale")) {
        await answer.text();
      } else if (answer.ok) {
        const old = $("frame").src;
        $("frame").src = URL.createObjectURL(await answer.blob());
        $("frame").hidden = false;
        if (old) URL.revokeObjectURL(old);
        $("sees").textContent = `sees ${decodeURIComponent(answer.headers.get("x-sees") ?? "") || "nothing"}`;
      } else if (answer.status !== 500) {
        $("sees").textContent = await answer.text();
      }
    } catch { /* the server is away: see lost() */ }
  }
  setTimeout(frame, 400);
}

function lost() {
  badge($("link"), "no connection", "bad");
  document.body.classList.add("stale");
  $("sees").textContent = "the page's server does not answer: it has ended, or cannot be reached. What is shown is old.";
}

function listen() {
  const stream = new EventSource("api/stream");
  stream.onopen = () => {
    badge($("link"), "live", "good");
    document.body.classList.remove("stale");
  };
  stream.onerror = lost;
  stream.onmessage = (event) => showBoards(JSON.parse(event.data));
}

addEventListener("resize", resize);
listen();
frame();
setInterval(history, 2000);
