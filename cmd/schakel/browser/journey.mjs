// Hands for the journeys: sits at several desks at once in one Chromium, and does what it
// is told. It reads one order per line from standard input as JSON, and answers each with
// one line: what the page says then, and what went wrong.
//
// Nobody here reaches into a page. A hand uses the mouse, or only the keys Tab, Enter, space,
// arrows and letters; where the focus is, it looks, as eyes would.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// patience is for what will surely come, on however slow a machine.
const patience = 180000;
const seats = new Map();
let browser;

async function sit({ who, hand, base, options, cut }) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const wrong = [];
  context.on("request", (r) => { if (!r.url().startsWith(base + "/")) wrong.push("asks elsewhere: " + r.url()); });
  const lost = cut ? /ERR_INCOMPLETE_CHUNKED_ENCODING|EventSource's response/ : /^$/; // what a browser says of a stream that was cut off
  page.on("console", (m) => { if (m.type() === "error" && !lost.test(m.text())) wrong.push("console: " + m.text()); });
  page.on("pageerror", (e) => wrong.push("script: " + e));
  seats.set(who, { context, page, hand, base, wrong });
}

// seen is what somebody at a seat sees, beside what is wrong with it.
async function seen({ page, wrong }) {
  const said = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    heading: document.querySelector("h1")?.innerText ?? "",
    text: document.querySelector("main")?.innerText ?? document.body.innerText,
    links: [...document.querySelectorAll("a[href]")].map((e) => e.getAttribute("href")),
    names: [...new Set([...document.querySelectorAll("main [name]")].map((e) => e.name))],
    offered: [...document.querySelectorAll("main [name=to]")].map((e) => e.value),
    over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  if (said.over > 0) wrong.push(`wider than the screen by ${said.over} px: ${page.url()}`);
  const url = new URL(page.url());
  return { ...said, path: url.pathname + url.search, wrong: wrong.splice(0) };
}

// tabTo moves the focus with the tab key until it is on what a selector names, and unfolds
// what hides that.
async function tabTo(page, selector) {
  for (let i = 0; i < 600; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate((s) => {
      const e = document.activeElement;
      const fold = e?.tagName === "SUMMARY" && !e.parentElement.open ? e.parentElement : null; // of the list of places, beside which that stands
      return { here: e?.matches(s), above: fold !== null && (fold.matches(".places__fold") ? fold.parentElement : fold).querySelector(s) !== null };
    }, selector);
    if (at.here) return;
    if (at.above) await page.keyboard.press("Enter");
  }
  throw new Error("the tab key does not lead to " + selector);
}

// click moves the mouse to what a selector names, and clicks there.
async function click(page, selector) {
  const { x, y } = await shown(page, selector);
  await page.mouse.click(x, y);
}

// shown is where something is, in view with nothing over it. What folds it away is clicked
// open first, the outermost first.
async function shown(page, selector) {
  for (let folds = 0; folds < 8; folds++) {
    const at = await page.evaluate(async (s) => {
      const all = [...document.querySelectorAll(s)];
      let e = all.find((x) => x.checkVisibility()) ?? all[0];
      if (!e) return { none: true };
      let fold = null;
      for (let d = e.closest("details"); d; d = d.parentElement.closest("details")) if (!d.open && !d.firstElementChild.contains(e)) fold = d;
      if (!fold && !e.checkVisibility()) fold = e.closest("nav")?.querySelector("details:not([open])") ?? null;
      if (fold) e = fold.querySelector("summary");
      e.scrollIntoView({ block: "center", behavior: "instant" });
      const look = () => {
        const r = e.getBoundingClientRect();
        const x = r.x + Math.min(r.width / 2, 20), y = r.y + r.height / 2;
        const top = document.elementFromPoint(x, y);
        return { x, y, fold: fold !== null, free: r.width > 0 && top !== null && (e.contains(top) || top.contains(e)), over: top?.outerHTML.slice(0, 80) };
      };
      let seen = look();
      for (let frames = 0; frames < 600 && !seen.free; frames++) { // it is still being laid out, or news came in
        await new Promise((drawn) => requestAnimationFrame(drawn));
        if (!e.isConnected) e = document.querySelector(s) ?? e;
        seen = look();
      }
      return seen;
    }, selector);
    if (at.none) throw new Error("there is no " + selector);
    if (!at.free) throw new Error(`${selector} is covered, at ${at.x}, ${at.y}, by ${at.over}`);
    if (!at.fold) return at;
    await page.mouse.click(at.x, at.y);
  }
  throw new Error(selector + " stays folded away");
}

// use presses a link or a button that leads to a page, and save one that leads to a file.
async function use(seat, order) {
  await press(seat, order.at, "load");
}

async function save(seat, { at, path }) {
  const file = await press(seat, at, "download");
  await file.saveAs(path);
}

// choose chooses a file. The dialog itself is the system's: no hand of ours reaches it.
async function choose(seat, { at, path }) {
  const taken = () => {};
  seat.page.on("filechooser", taken);
  await seat.page.evaluate(() => 0); // by its answer the browser knows that the dialog is taken from it
  const dialog = await press(seat, at, "filechooser");
  seat.page.off("filechooser", taken);
  await dialog.setFiles(path);
}

async function press({ page, hand }, at, event) {
  if (hand === "keyboard") await tabTo(page, at);
  const [happened] = await Promise.all([page.waitForEvent(event), hand === "keyboard" ? page.keyboard.press("Enter") : click(page, at)]);
  return happened;
}

// stop is where the focus is: a field, or what folds fields away; null: nowhere.
function stop(page) {
  return page.evaluate(() => {
    const e = document.activeElement;
    if (!e || e === document.body) return null;
    const fold = e.tagName === "SUMMARY" ? e.parentElement : null;
    return { tag: e.tagName, type: e.type ?? "", name: e.name ?? "", value: e.value ?? "", checked: e.checked ?? false, closed: fold ? !fold.open : false,
      folded: fold ? [...fold.querySelectorAll("[name]")].map((x) => x.name) : [] };
  });
}

// fill fills in fields, in whatever order the page has them, and says which are not there.
async function fill(seat, { fields }) {
  const left = new Map(fields.map((f) => [f.name, [...f.values]]));
  await (seat.hand === "keyboard" ? keyed(seat.page, left) : clicked(seat.page, left));
  return { missing: [...left.keys()] };
}

async function keyed(page, left) {
  const { keyboard } = page;
  for (let i = 0, out = 0; left.size && out < 2 && i < 1500; i++) {
    await keyboard.press("Tab");
    let at = await stop(page);
    if (!at) out++;
    if (at?.closed && at.folded.some((n) => left.has(n))) await keyboard.press("Enter");
    const want = left.get(at?.name);
    if (!want) continue;
    if (at.type === "checkbox") {
      if (want.includes(at.value) !== at.checked) await keyboard.press("Space");
      left.set(at.name, want.filter((v) => v !== at.value));
      if (left.get(at.name).length) continue;
    } else if (at.type === "radio" || at.tag === "SELECT") {
      for (let n = 0; n < 80 && at.value !== want[0]; n++) {
        await keyboard.press("ArrowDown");
        at = await stop(page);
      }
      if (at.value !== want[0]) throw new Error(`${at.name} does not offer ${want[0]}`);
      if (at.type === "radio" && !at.checked) await keyboard.press("Space");
    } else if (at.type === "date" || at.type === "datetime-local") {
      await dated(page, want[0]);
    } else if (at.value !== want[0]) {
      if (at.value) await keyboard.press("Control+A");
      await typed(page, want[0]);
    }
    left.delete(at.name);
  }
}

// typed begins a text key by key; the rest of a long one comes as it comes from dictation.
async function typed(page, text) {
  await page.keyboard.type(text.slice(0, 24));
  if (text.length > 24) await page.keyboard.insertText(text.slice(24));
}

// dated types a date into the parts of its field. Which part comes first, and whether noon
// is told, is the browser's to say, by the language of the system: whoever looks sees it.
async function dated(page, want) {
  const [date, time] = want.split("T");
  const [y, m, d] = date.split("-");
  const hour = Number(time?.slice(0, 2));
  const clock = time?.replace(":", "");
  const noon = time ? String(hour % 12 || 12).padStart(2, "0") + time.slice(3) + (hour < 12 ? "a" : "p") : "";
  for (const [first, second, then] of [[d, m, clock], [m, d, noon], [m, d, clock]]) {
    await page.keyboard.type(first + second + y);
    if (time) {
      await page.keyboard.press("ArrowRight"); // a year may be longer
      await page.keyboard.type(then);
    }
    if ((await stop(page))?.value === want) return;
    for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowLeft");
  }
  throw new Error(`typed the date ${want}, the field says ${(await stop(page))?.value}`);
}

async function clicked(page, left) {
  for (const [name, want] of [...left]) {
    const field = `main [name="${name}"]`;
    const boxes = await page.evaluate((s) => [...document.querySelectorAll(s)].map((e) => ({ tag: e.tagName, type: e.type, value: e.value, checked: e.checked ?? false })), field);
    if (!boxes.length) continue;
    await shown(page, field);
    const { tag, type, value } = boxes[0];
    if (type === "checkbox" || type === "radio") {
      for (const b of boxes) {
        if (want.includes(b.value) !== b.checked && (type === "checkbox" || !b.checked)) await click(page, `${field}[value="${b.value}"]`);
      }
    } else if (tag === "SELECT") { // the list itself is the system's: no hand of ours reaches it
      await page.locator(field).selectOption(want[0]);
    } else if (type === "date" || type === "datetime-local") {
      await page.locator(field).fill(want[0]);
    } else {
      await click(page, field);
      if (value) await page.keyboard.press("Control+A");
      await typed(page, want[0]);
    }
    left.delete(name);
  }
}

// paper prints a page as it looks on a screen, on one sheet that is as high as it is, without
// the margins of paper, and in letters that every Debian has: in others it is another picture.
async function paper({ page }, { path, height }) {
  await page.emulateMedia({ media: "screen" });
  const full = await page.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight + 1 }));
  const size = { width: full.width + "px", height: Math.min(full.height, height) + "px" };
  await page.addStyleTag({ content: `@page { margin: 0; size: ${size.width} ${size.height} } * { font-family: "DejaVu Sans" !important }` });
  await page.pdf({ path, ...size, printBackground: true, pageRanges: "1" });
}

// windows opens more windows of the same browser at a page, as many as somebody leaves open.
async function windows({ context, base }, { path, many }) {
  for (let i = 0; i < many; i++) {
    const page = await context.newPage();
    await page.goto(base + path, { waitUntil: "load" }).catch((e) => { throw new Error(`window ${i + 2} does not open: ${e.message}`); });
  }
}

// until waits for what a page shows by itself.
async function until({ page }, { at }) {
  await page.locator(at).first().waitFor({ state: "visible" });
}

const acts = { use, save, choose, windows, until, fill, look: async () => {}, go: ({ page, base }, { path }) => page.goto(base + path, { waitUntil: "load" }),
  paper };

async function follow(order) {
  if (order.do === "sit") await sit(order);
  const seat = seats.get(order.who);
  try {
    const more = order.do === "sit" ? {} : await acts[order.do](seat, order);
    return { ...(await seen(seat)), missing: more?.missing ?? [] };
  } catch (e) {
    return { error: `${e.message.split("\n").slice(0, 4).join(" ")}; at ${seat.page.url()}: ${(await seat.page.locator("body").innerText().catch(() => "")).slice(0, 1500)}` };
  }
}

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const order = JSON.parse(line);
  browser ??= await chromium.launch({ executablePath: order.chromium, timeout: patience, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-smooth-scrolling", "--disable-dev-shm-usage"] });
  if (order.do === "leave") {
    for (const seat of seats.values()) await seat.context.close();
    seats.clear();
    console.log(JSON.stringify({}));
    continue;
  }
  console.log(JSON.stringify(await follow(order)));
}
await browser?.close();
