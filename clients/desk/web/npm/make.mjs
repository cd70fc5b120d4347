// Makes ../look/look.css: the component styles that package.json names, and of the
// tokens only those that these styles use, directly or through others.
import { readFileSync, writeFileSync } from "node:fs";

const tokens = "@nl-design-system-unstable/voorbeeld-design-tokens";
const names = Object.keys(JSON.parse(readFileSync("package.json", "utf8")).dependencies);
const styles = names.filter((n) => n !== tokens).map((n) => readFileSync(`node_modules/${n}/dist/index.css`, "utf8")).join("\n");

const values = new Map();
for (const [, name, value] of readFileSync(`node_modules/${tokens}/dist/theme.css`, "utf8").matchAll(/(--[\w-]+):\s*([^;]+);/g)) {
  values.set(name, value);
}
const used = new Set();
function use(text) {
  for (const [name] of text.matchAll(/--[\w-]+/g)) {
    if (values.has(name) && !used.has(name)) {
      used.add(name);
      use(values.get(name));
    }
  }
}
use(styles);
const theme = [...used].sort().map((n) => `${n}:${values.get(n)}`).join(";\n");
const out = `.voorbeeld-theme{\n${theme}}\n${styles}`;
if (/url\(\s*['"]?(https?:)?\/\//.test(out) || out.includes("@import")) throw new Error("the styles ask another machine for something");
writeFileSync("../look/look.css", out);
