// What the pages do by themselves, beside their forms: keep what is typed, say that there is
// news, lock in time, and hide at once. Nothing here moves the focus or changes what somebody reads.
"use strict";

const byId = (id) => document.getElementById(id);
const idle = Number(document.body.dataset.idle) * 1000;

// What is typed in a message is kept as it is typed, and once more before the page goes
// away. The PIN is not among it.
const writing = document.querySelector("form[data-keep]");
let unkept = false;
let keeping;
function keep() {
  clearTimeout(keeping);
  if (!writing || !unkept) return Promise.resolve();
  unkept = false;
  const typed = new URLSearchParams(new FormData(writing));
  typed.delete("pin");
  typed.set("do", "keep");
  const small = typed.toString().length < 60000; // more than this no browser sends from a page that goes
  return fetch(writing.action, { method: "POST", body: typed, redirect: "manual", keepalive: small }).catch(() => { unkept = true; });
}
writing?.addEventListener("input", () => {
  unkept = true;
  clearTimeout(keeping);
  keeping = setTimeout(keep, 1500);
});
writing?.addEventListener("submit", () => { unkept = false; clearTimeout(keeping); });
addEventListener("pagehide", keep);

// Hide: the page is empty before the server knows. That the session is locked by then is
// no news: the lock screen, which says what program this is, must not come first.
function hide() {
  stream.close();
  keep();
  document.documentElement.hidden = true;
  document.title = "";
  fetch("/hide", { method: "POST", keepalive: true, redirect: "manual" }).finally(() => location.replace("/notes"));
}
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && !e.isComposing) hide();
});

// A page that comes back out of the browser's memory is asked for again.
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

// Somebody who types or reads is there, also without asking for a page.
let told = Date.now();
let last = told;
let warning;
function soon() {
  clearTimeout(warning);
  warning = setTimeout(() => { byId("soon").hidden = false; }, Math.max(idle - 60000, idle / 2));
}
function present() {
  last = Date.now();
  if (byId("soon").hidden && last - told < Math.min(30000, idle / 4)) return;
  told = last;
  byId("soon").hidden = true;
  soon();
  fetch("/alive", { method: "POST", redirect: "manual" }).catch(() => {});
}
for (const kind of ["keydown", "pointerdown", "input", "scroll"]) {
  addEventListener(kind, present, { passive: true, capture: true });
}
soon();

// How far the files of a message are. A button that has the focus stays until that is
// elsewhere, and a voice tells only when a file comes into another state.
const files = document.querySelector("[data-files]");
function show(element, shown) {
  element.toggleAttribute("data-over", !shown);
  element.hidden = !shown && !element.contains(document.activeElement);
}
files?.addEventListener("focusout", (e) => {
  for (const over of files.querySelectorAll("[data-over]")) over.hidden = !over.contains(e.relatedTarget);
});
function moved(f) {
  const row = files.querySelector(`[data-place="${f.place}"]`);
  const at = (part) => row.querySelector(`[data-${part}]`);
  if (at("state").textContent !== f.state) byId("moved").textContent = at("name").textContent + ": " + f.state;
  at("state").textContent = f.state;
  at("state").classList.toggle("late", f.bad === true);
  row.classList.toggle("row--late", f.bad === true);
  at("progress").textContent = f.progress ?? "";
  at("remedy").textContent = f.remedy ?? "";
  at("moves").hidden = f.percent < 0;
  if (f.percent >= 0) Object.assign(at("moves").firstElementChild, { value: f.percent, textContent: f.percent + " %" });
  for (const e of row.querySelectorAll("[data-when]")) show(e, f[e.dataset.when] === true);
  show(at("acts"), f.fetch || f.pause || f.resume || false);
}

// News shows as a line with a link. A page that nobody looks at renews itself.
const mayRenew = () => !document.querySelector("form textarea, main form");
let stream;
function listen() {
  const { since } = document.body.dataset; // what came since the page was made is news, too
  stream = new EventSource("/live?since=" + since + (files ? "&message=" + files.dataset.files : ""));
  stream.addEventListener("files", (e) => JSON.parse(e.data).forEach(moved));
  stream.addEventListener("news", () => {
    if (document.hidden && mayRenew()) location.reload();
    else byId("news").hidden = false;
  });
  stream.addEventListener("locked", locked);
  // A few windows of one browser listen: a newer one has taken the place of this one.
  stream.addEventListener("elsewhere", () => stream.close());
  stream.addEventListener("error", (e) => { if (e.target.readyState === EventSource.CLOSED) refused(); });
}
// Where the daemon started again, or a line was cut too long, nobody told this page that its
// session is over: it asks. Where nobody answers at all it tries again.
function refused() {
  fetch("/locked").then((r) => { if (/^\/(locked|sign-in)$/.test(new URL(r.url).pathname)) locked(); }, () => setTimeout(listen, 5000));
}
function locked() {
  stream.close();
  keep().finally(() => location.replace("/locked"));
}
listen();
document.addEventListener("visibilitychange", () => {
  if (document.hidden || stream.readyState !== EventSource.CLOSED) return;
  if (mayRenew()) location.reload();
  else listen();
});
