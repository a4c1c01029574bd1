// html.mjs NODE_MODULES CHROMIUM FOLDER: the pages mixed.html, hostile.html and none.html of FOLDER, in a browser. Prints TAP.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, browser_path, folder] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(path.join(modules, "playwright-core/index.mjs")).href);
const axe = fs.readFileSync(path.join(modules, "axe-core/axe.min.js"), "utf8");

let n = 0, failed = false;
const ok = (what, wrong) => {
  n += 1;
  wrong.forEach((line) => console.log("#", String(line).replace(/\n/g, " ").slice(0, 300)));
  console.log(`${wrong.length ? "not " : ""}ok ${n} - ${what}`);
  failed ||= wrong.length > 0;
};

const browser = await chromium.launch({ executablePath: browser_path, args: ["--no-sandbox"] });

/* Opens a page and gives it to `look`; whatever it says, asks for or pops up is added to what `look` finds wrong. */
const open = async (name, options, look) => {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(5000);
  const wrong = [], url = pathToFileURL(path.join(folder, name)).href;
  page.on("console", (m) => wrong.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
  page.on("dialog", (d) => { wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on("request", (r) => { if (r.url() !== url) wrong.push(`request: ${r.url()}`); });
  page.on("popup", () => wrong.push("popup"));
  await page.goto(url);
  wrong.push(...await look(page));
  await context.close();
  return wrong;
};

const accessible = async (page) => {
  await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run());
  return result.violations.map((v) => `${v.id}: ${v.nodes.length} times, first ${v.nodes[0].html}`);
};

for (const name of ["mixed", "hostile", "none"]) {
  for (const colorScheme of ["light", "dark"])
    ok(`${name}, ${colorScheme}: quiet, and clean to axe-core`, await open(`${name}.html`, { colorScheme }, accessible));
  ok(`${name}: narrow, and nothing is lost at the side`, await open(`${name}.html`, { viewport: { width: 360, height: 800 } }, async (page) => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    return wide > 360 ? [`${wide} wide`] : [];
  }));
}

ok("scripts off: all of it is there", await open("mixed.html", { javaScriptEnabled: false }, async (page) => {
  const text = await page.innerText("body");
  return ["gateway errors in", "connection-refused", "Do this", "Evidence", "tcp.stream in", "tshark -r", "Capture quality"]
    .filter((word) => !text.includes(word)).map((word) => `no ${word}`);
}));

ok("on paper: a page of A4 and more", await open("mixed.html", {}, async (page) => {
  const pdf = (await page.pdf({ preferCSSPageSize: true })).toString("latin1");
  return /\/Type\s*\/Page\b/.test(pdf) ? [] : ["no page"];
}));

ok("keys: the first leads to the report, and all buttons can be reached", await open("mixed.html", {}, async (page) => {
  const wrong = [];
  await page.keyboard.press("Tab");
  if (await page.evaluate(() => document.activeElement.textContent) !== "Skip to the report") wrong.push("the first is another");
  const unreachable = await page.evaluate(() => [...document.querySelectorAll("button, a, summary, input")].filter((e) => e.tabIndex < 0).length);
  if (unreachable) wrong.push(`${unreachable} cannot be reached`);
  return wrong;
}));

ok("my time: another zone, and back", await open("mixed.html", { timezoneId: "Asia/Kolkata" }, async (page) => {
  const time = page.locator("header time").first();
  const [utc, at] = [await time.textContent(), await time.getAttribute("datetime")];
  await page.getByRole("button", { name: "my time" }).click();
  const local = await time.textContent();
  const wrong = new Date(`1970-01-01T${local}Z`) - new Date(`1970-01-01T${utc}Z`) !== 5.5 * 3600e3 ? [`${at}: ${utc}, ${local}`] : [];
  await page.getByRole("button", { name: "UTC" }).click();
  return await time.textContent() === utc ? wrong : [...wrong, "it does not come back"];
}));

ok("a bar of the timeline chooses, words choose, heads sort", await open("mixed.html", {}, async (page) => {
  const rows = page.locator("#listed tbody tr:visible"), wrong = [];
  await page.locator(".hit").first().click();
  const of_bar = await rows.count();
  if (of_bar === 0 || of_bar >= 65) wrong.push(`a bar shows ${of_bar}`);
  await page.getByRole("button", { name: "all", exact: true }).click();
  await page.locator("input").fill("10.0.1.9");
  if (await rows.count() !== 5) wrong.push(`words show ${await rows.count()}`);
  await page.locator("input").fill("");
  await page.getByRole("button", { name: "Incident", exact: true }).click();
  await page.getByRole("button", { name: "Incident", exact: true }).click();
  const first = await rows.first().locator("td").first().textContent();
  if (first !== "65") wrong.push(`sorted down, ${first} is first`);
  return wrong;
}));

await browser.close();
console.log(`1..${n}`);
process.exitCode = failed && !process.env.HARNESS_ACTIVE ? 1 : 0;
