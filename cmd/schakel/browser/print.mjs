// Prints pages of the web desk in Chromium. It reads one job from standard input as JSON
// and writes {"sheets": [...]}: of each page what stands on paper, what heads each sheet, how
// large the sheets are and how many.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const job = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath: job.chromium, timeout: 120000, args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"] });
const sheets = [];
try {
  const context = await browser.newContext({ locale: "nl-NL" });
  await context.addCookies(job.cookies.map((c) => ({ ...c, url: job.base })));
  const page = await context.newPage();
  page.setDefaultTimeout(120000);
  for (const path of job.paths) {
    await page.goto(job.base + path, { waitUntil: "load" });
    await page.emulateMedia({ media: "print" });
    const seen = await page.evaluate(() => ({
      text: document.body.innerText,
      head: document.querySelector(".paper")?.innerText ?? "",
      heads: getComputedStyle(document.querySelector(".paper") ?? document.body).display,
      pressed: [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, nav")].filter((e) => e.checkVisibility()).map((e) => e.outerHTML.slice(0, 90)),
      root: `${getComputedStyle(document.documentElement).display} ${getComputedStyle(document.documentElement).containerType}`,
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    }));
    const file = (await page.pdf({ preferCSSPageSize: true, path: job.folder ? `${job.folder}/${sheets.length}.pdf` : undefined })).toString("latin1");
    await page.emulateMedia({ media: null });
    sheets.push({ path, ...seen, sizes: [...file.matchAll(/\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]/g)].map((m) => [Number(m[1]), Number(m[2])]) });
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ sheets }));
