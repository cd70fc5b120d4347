// What the pages do by themselves, beside their forms: say that there is news, lock in
// time, and hide at once. Nothing here moves the focus or changes what somebody reads.
"use strict";

const byId = (id) => document.getElementById(id);
const idle = Number(document.body.dataset.idle) * 1000;

// Hide: the page is empty before the server knows. That the session is locked by then is
// no news: the lock screen, which says what program this is, must not come first.
function hide() {
  stream.close();
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

// News shows as a line with a link. A page that nobody looks at renews itself.
const stream = new EventSource("/live");
stream.addEventListener("news", () => {
  if (document.hidden && !document.querySelector("form textarea, main form")) location.reload();
  else byId("news").hidden = false;
});
stream.addEventListener("locked", () => { stream.close(); location.replace("/locked"); });
