// Drives Chromium for the tests of the web desk. It reads jobs from standard input, a line
// of JSON each, and writes lines of JSON: {"said": ...} and {"tree": ...} on the way, and
// {"found": [...]} at the end of each job. It ends with its input.
//
// A job either looks at pages in every way of looking (visits), or walks through steps in
// one way of walking (steps). What is found is what is wrong; an empty list is good.
// Usage: node walk.mjs CHROMIUM
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "EN-301-549", "best-practice"];
let job;
let found = [];
const pages = new Set(); // those that are open

// patience is for what will surely come, on however slow a machine.
const patience = 120000;

const browser = await chromium.launch({
  executablePath: process.argv[2],
  timeout: patience,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-smooth-scrolling", "--disable-dev-shm-usage"],
});

// watched opens a context in which everything that should not happen is noted. Its page
// keeps in "now" what it is busy with: what is found belongs to that.
async function watched(options) {
  const now = { name: job.name ?? "", status: 200 };
  const context = await browser.newContext({ locale: "nl-NL", ...options });
  context.on("request", (r) => {
    if (![job.base, ...(job.beside ?? [])].some((b) => r.url().startsWith(b + "/"))) found.push({ name: now.name, what: "outside request", detail: r.url() });
  });
  await context.addInitScript("globalThis.lookOver = function () {" + axe + "\n}"); // read once, not with every page
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("console", (m) => {
    const own = now.status >= 400 && m.text().startsWith("Failed to load resource") && m.text().includes(` ${now.status} `) && m.location().url.startsWith(job.base + "/");
    if (m.type() === "error" && !own) found.push({ name: now.name, what: "console", detail: m.text() });
  });
  page.on("pageerror", (e) => found.push({ name: now.name, what: "script", detail: String(e) }));
  page.now = now;
  pages.add(page);
  page.on("close", () => pages.delete(page));
  return { context, page };
}

async function signedIn(context, cookies) {
  await context.clearCookies();
  if (cookies?.length) await context.addCookies(cookies.map((c) => ({ ...c, url: job.base })));
}

async function looked(page) {
  const { now } = page;
  await page.evaluate(() => globalThis.axe ?? globalThis.lookOver());
  const result = await page.evaluate((tags) => globalThis.axe.run({ runOnly: tags, resultTypes: ["violations"] }), tags);
  for (const v of result.violations) {
    for (const n of v.nodes) found.push({ name: now.name, what: "axe " + v.id, detail: n.target.join(" ") + ": " + n.failureSummary });
  }
}

async function fits(page) {
  const { now } = page;
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) found.push({ name: now.name, what: "wider than the screen", detail: `by ${wide} px` });
}

// begins demands that somebody sees without scrolling what a page is about, or what is wrong.
async function begins(page) {
  const { now } = page;
  const low = await page.evaluate(() => {
    const e = document.querySelector(".banners .banner, h1");
    const bottom = e ? e.getBoundingClientRect().bottom + scrollY : 0;
    return bottom > innerHeight ? `${e.innerText.slice(0, 40)} ends at ${Math.round(bottom)} of ${innerHeight}` : "";
  });
  if (low) found.push({ name: now.name, what: "begins below the screen", detail: low });
}

// unfolded looks once at the list of places where it is folded away: opened, it is used as
// anything else is.
let folded = true;
async function unfolded(page) {
  const fold = page.locator(".places__fold summary");
  if (!folded || !(await fold.isVisible())) return;
  folded = false;
  page.now.name += ", places unfolded";
  await fold.click();
  await looked(page);
  await fits(page);
  await sizes(page);
  await reached(page);
  if (!(await page.locator("nav.places a").first().isVisible())) found.push({ name: page.now.name, what: "stays folded", detail: ".places" });
  await fold.click();
}

// sizes demands that everything that is pressed is at least 24 px high and wide, also
// where there is room around it that would excuse it (WCAG 2.2, 2.5.8).
async function sizes(page) {
  const { now } = page;
  const small = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
    .filter((e) => e.checkVisibility() && !e.matches(".utrecht-skip-link"))
    .map((e) => [e.closest("label.option") ?? e, e])
    .filter(([box]) => { const r = box.getBoundingClientRect(); return r.width < 23.5 || r.height < 23.5; })
    .map(([, e]) => e.outerHTML.slice(0, 90)));
  for (const html of small) found.push({ name: now.name, what: "target too small", detail: html });
}

// pastes demands that whoever keeps a PIN, a number or a text elsewhere can paste it.
async function pastes(page) {
  const { now } = page;
  const refused = await page.evaluate(() => [...document.querySelectorAll("input:not([type=hidden], [type=radio], [type=checkbox], [type=file]), textarea")]
    .filter((e) => e.readOnly || e.disabled || e.onpaste || !e.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: new DataTransfer() })))
    .map((e) => e.outerHTML.slice(0, 90)));
  for (const html of refused) found.push({ name: now.name, what: "paste refused", detail: html });
}

// heard demands what somebody needs who hears a page and does not see it: what is wrong is
// tied to its field, a link within the page leads somewhere, and links that are called the
// same lead to the same place. What is seen of a link may be shorter than what it is called.
async function heard(page) {
  const { now } = page;
  const wrong = await page.evaluate(() => {
    const out = [];
    const described = new Set([...document.querySelectorAll("[aria-describedby]")].flatMap((e) => e.getAttribute("aria-describedby").split(/\s+/)));
    for (const e of document.querySelectorAll(".wrong")) {
      if (e.checkVisibility() && !e.closest("[role=alert]") && !described.has(e.id)) out.push(["not tied to a field", e.outerHTML.slice(0, 90)]);
    }
    for (const id of described) if (!document.getElementById(id)) out.push(["described by nothing", id]);
    const called = new Map();
    for (const a of document.querySelectorAll("a[href]")) {
      if (!a.checkVisibility()) continue;
      const to = a.getAttribute("href");
      if (to.length > 1 && to.startsWith("#") && !document.getElementById(to.slice(1))) out.push(["leads nowhere", to]);
      const name = (a.getAttribute("aria-label") ?? a.textContent).replace(/\s+/g, " ").trim();
      if (!a.closest("main")) continue; // a list of places says of what it is one
      if (called.has(name) && called.get(name) !== to) out.push(["links called the same", `${name}: ${called.get(name)} and ${to}`]);
      called.set(name, to);
    }
    return out;
  });
  for (const [what, detail] of wrong) found.push({ name: now.name, what, detail });
}

// reached goes through a page with the tab key: everything that can be used must get the
// focus, in view, with nothing over it, and the focus must come out at the end.
async function reached(page) {
  const { now } = page;
  const all = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  await page.evaluate(() => { // from the top, wherever the focus was
    const top = document.createElement("span");
    top.tabIndex = -1;
    document.body.prepend(top);
    top.focus();
    top.remove();
  });
  const n = await page.evaluate((all) => [...document.querySelectorAll(all)].filter((e) => e.checkVisibility() && !(e.type === "radio" && !e.checked)).length, all);
  const seen = new Set();
  for (let i = 0; i < n * 4 + 12; i++) { // a field for a date and time has stops inside
    await page.keyboard.press("Tab");
    let at = await stop(page, all);
    if (at && (!at.inView || at.covered)) { // news that comes in may have moved it: once more
      await page.keyboard.press("Shift+Tab");
      await page.keyboard.press("Tab");
      at = await stop(page, all);
    }
    if (!at) break;
    if (at.n < 0 || seen.has(at.n)) continue;
    seen.add(at.n);
    if (!at.inView || at.covered) found.push({ name: now.name, what: "focus obscured", detail: at.html + " at " + at.where });
    if (!at.ring) found.push({ name: now.name, what: "focus not shown", detail: at.html });
  }
  if (seen.size < n) found.push({ name: now.name, what: "not reached by keyboard", detail: `${seen.size} of ${n}` });
}

// stop is where the focus is, and whether somebody sees it there; null: nowhere.
function stop(page, all) {
  return page.evaluate(async (all) => {
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    const look = () => {
      const r = e.getBoundingClientRect();
      const top = document.elementFromPoint(Math.min(Math.max(r.x + Math.min(r.width, 12) / 2, 0), innerWidth - 1), Math.min(Math.max(r.y + r.height / 2, 0), innerHeight - 1));
      return { r, top, inView: r.bottom > 0 && r.top < innerHeight, covered: !(top && (e === top || e.contains(top) || top.contains(e))) };
    };
    let seen = look();
    for (let frames = 0; frames < 60 && (!seen.inView || seen.covered); frames++) { // it is still being scrolled into view
      await new Promise((drawn) => requestAnimationFrame(drawn));
      seen = look();
    }
    const { r, top, inView, covered } = seen;
    const style = getComputedStyle(e);
    return { n: [...document.querySelectorAll(all)].indexOf(e), html: e.outerHTML.slice(0, 80), inView, covered,
      where: `${Math.round(r.top)} to ${Math.round(r.bottom)} of ${innerHeight}, under ${top?.outerHTML.slice(0, 40)}`,
      ring: style.outlineStyle !== "none" || style.boxShadow !== "none" };
  }, all);
}

const wide = { width: 1280, height: 900 };
const narrow = { width: 320, height: 640 };
const zoomed = { width: 320, height: 256 }; // 1280 by 1024 at 400 %

// windows are kept open: to open one takes longer than to look at a page.
const windows = new Map();

async function inWindow(how, options) {
  if (!windows.has(how)) windows.set(how, await watched(options));
  return windows.get(how);
}

// arrive opens a page in a window, and goes on to its state.
async function arrive({ context, page }, visit, how) {
  const { now } = page;
  Object.assign(now, { name: `${visit.name} (${how})`, status: visit.status ?? 200 });
  await signedIn(context, visit.cookies);
  try {
    const r = await page.goto(job.base + visit.path, { waitUntil: "load" });
    for (const s of visit.steps ?? []) await step(page, "mouse", s);
    if (!visit.steps && r.status() !== now.status) found.push({ name: now.name, what: "status", detail: String(r.status()) });
  } catch (e) { // the other pages can be looked at
    found.push({ name: now.name, what: "cannot be reached", detail: `${e.message}; at ${page.url()}` });
    return false;
  }
  return true;
}

async function shows(page, visit) {
  const text = await page.locator("body").innerText();
  for (const want of visit.shows ?? []) {
    if (!text.includes(want)) found.push({ name: page.now.name, what: "does not show", detail: want });
  }
  return text;
}

async function picture(page, visit, how) {
  if (visit.picture?.[how]) await page.screenshot({ path: visit.picture[how], fullPage: true });
}

// lookAt opens a page once, and looks at it in windows of every size. A page that was seen
// in another state before is looked at again in what is enough for a state: narrow, and
// with the keyboard.
async function lookAt(visit) {
  const at = await inWindow("wide", { viewport: wide });
  const { page } = at;
  const as = async (how, size, forcedColors = "none") => {
    page.now.name = `${visit.name} (${how})`;
    await page.setViewportSize(size);
    await page.emulateMedia({ forcedColors });
    await page.evaluate(async ({ width, height }) => { // the page learns its size on another way than what it is asked
      for (let frames = 0; frames < 600 && (innerWidth !== width || innerHeight !== height); frames++) await new Promise((drawn) => requestAnimationFrame(drawn));
    }, size).catch(() => {}); // what is there now goes away: the next page comes in that size
  };
  await as("wide", wide);
  if (!(await arrive(at, visit, "wide"))) return;
  const text = await shows(page, visit);
  console.log(JSON.stringify({ tree: { name: visit.name, text: await page.locator("body").ariaSnapshot(), shown: text } }));
  if (job.said) return;
  if (!visit.again) {
    await looked(page);
    await reached(page);
    await picture(page, visit, "wide");
  }
  await as("narrow", narrow);
  await begins(page);
  await looked(page);
  await fits(page);
  await sizes(page);
  await pastes(page);
  await heard(page);
  await picture(page, visit, "narrow");
  if (visit.again) return reached(page);
  await unfolded(page);
  await as("zoomed", zoomed);
  await fits(page);
  await reached(page);
  await as("forced colours", narrow, "active");
  await fits(page);
}

async function lookInEnglish(visit) {
  const at = await inWindow("english, dark", { viewport: wide, locale: "en-GB", colorScheme: "dark" });
  if (!(await arrive(at, visit, "english, dark"))) return;
  await looked(at.page);
  await picture(at.page, visit, "english, dark");
}

async function lookWithoutScripts(visit) {
  const at = await inWindow("without scripts", { viewport: narrow, javaScriptEnabled: false });
  if (await arrive(at, visit, "without scripts")) await shows(at.page, visit);
}

// look looks at pages one after the other, since looking leaves traces, as a list of what
// somebody is busy with: what a page says must be the same at each run. What is not held
// against a file comes after that, two windows at a time.
async function look(visits) {
  const whole = async (how, v) => { // one page that goes away under the eyes of who looks is one fault, and not the end
    await how(v).catch((e) => found.push({ name: v.name, what: "cannot be looked at", detail: e.message }));
  };
  for (const v of visits) await whole(lookAt, v);
  if (job.said) return;
  const further = async (how) => {
    for (const v of visits) if (!v.again) await whole(how, v);
  };
  await Promise.all([further(lookInEnglish), further(lookWithoutScripts)]);
}

// tabTo moves the focus with the tab key until it is on what a selector names.
async function tabTo(page, selector) {
  for (let i = 0; i < 100; i++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error("the tab key does not lead to " + selector);
}

// unfold opens the list of places where what a selector names is folded away in it.
async function unfold(page, hand, selector) {
  const fold = page.locator(".places__fold:not([open]) summary");
  if (!selector.startsWith("nav ") || !(await fold.isVisible())) return;
  if (hand === "mouse") return fold.click();
  await tabTo(page, ".places__fold summary");
  await page.keyboard.press("Enter");
}

// still demands that something stands where it stood when it was looked at last: what moves
// under a hand that is about to press makes it press something else.
async function still(page, selector) {
  const { y } = await page.locator(selector).first().boundingBox();
  if (Math.abs(y - (page.stood ?? y)) > 1) throw new Error(`${selector} moved from ${page.stood} to ${y}`);
  page.stood = y;
}

async function step(page, hand, s) {
  if (s.go) await page.goto(job.base + s.go, { waitUntil: "load" });
  if (s.status) page.now.status = s.status;
  if (s.use) await unfold(page, hand, s.use);
  if (s.use && hand === "keyboard") {
    await tabTo(page, s.use);
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
  } else if (s.use) {
    await Promise.all([page.waitForEvent("load"), page.locator(s.use).first().click()]);
  }
  if (s.type && hand === "keyboard") {
    await tabTo(page, s.type[0]);
    await page.keyboard.type(s.type[1]);
  } else if (s.type) {
    await page.locator(s.type[0]).fill(s.type[1]);
  }
  if (s.click) await page.locator(s.click).first().click();
  if (s.press) await page.keyboard.press(s.press);
  if (s.focus) await page.locator(s.focus).first().focus();
  if (s.say) console.log(JSON.stringify({ said: s.say }));
  if (s.back) await page.goBack({ waitUntil: "load" });
  if (s.path) await page.waitForURL((u) => u.pathname === s.path);
  if (s.visible) await page.locator(s.visible).first().waitFor({ state: "visible" });
  if (s.focused && !(await page.evaluate((sel) => document.activeElement.matches(sel), s.focused))) throw new Error("the focus is no longer on " + s.focused);
  if (s.still) await still(page, s.still);
  if (s.shows) await page.getByText(s.shows).filter({ visible: true }).first().waitFor({ state: "visible" });
  if (s.hides && (await page.locator("html").innerText()).includes(s.hides)) throw new Error("it shows " + s.hides);
}

async function walk() {
  const { context, page } = await watched(job.options ?? {});
  await signedIn(context, job.cookies);
  if (job.authenticator) { // a key in software that touches itself (WebAuthn, 11.2)
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true,
      hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...(job.derives ? { ctap2Version: "ctap2_1", hasPrf: true } : {}) } });
  }
  for (const [i, s] of job.steps.entries()) {
    try {
      await step(page, job.hand, s);
    } catch (e) {
      found.push({ name: job.name, what: "step " + (i + 1), detail: `${JSON.stringify(s)}: ${e.message}; at ${page.url()}: ${(await page.locator("body").innerText({ timeout: 5000 }).catch(() => "")).slice(0, 600)}` });
      break;
    }
  }
  await context.close();
}

// left leads a window away. One that was just going somewhere by itself, since its session
// locked or there is news, is led away once it is there.
async function left(page) {
  for (let tries = 1; ; tries++) {
    try {
      await page.goto("about:blank");
      return;
    } catch (e) {
      if (tries === 5) throw e;
      await page.waitForLoadState().catch(() => {});
    }
  }
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    job = JSON.parse(line);
    found = [];
    if (job.visits) await look(job.visits);
    if (job.steps) await walk();
    // A page that stayed open would ask an office that has ended for news, in the next job.
    for (const page of pages) await left(page);
    console.log(JSON.stringify({ found }));
  }
} finally {
  await browser.close();
}
