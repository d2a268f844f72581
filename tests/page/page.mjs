// Looks at the status page in Chromium, as people do: `node page.mjs ADDRESS SCREENSHOTS`. It says a line before
// each thing that is to happen on the other side, and reads a line once it has. The first line it says after
// `FAILED` is what was wrong.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.LLAMA_ORCH_PLAYWRIGHT + "/")("playwright-core");
const [address, shots] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const PATIENCE = { timeout: 20000 };

async function ask(what) {
  console.log(what);
  await lines.next();
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const browser = await chromium.launch({
  executablePath: process.env.LLAMA_ORCH_CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function open(width, scheme, wrong) {
  const context = await browser.newContext({
    viewport: { width, height: width < 500 ? 780 : 900 }, colorScheme: scheme,
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("dialog", (dialog) => { wrong.push("a dialog"); dialog.dismiss(); });
  await page.goto(address);
  await page.waitForSelector("#instances tbody tr", PATIENCE);
  return page;
}

const STATES = ["running", "starting", "backing off", "gave up", "failed", "unresponsive", "unsupervised",
  "stopped", "held", "down", "unknown"];

// Every state, at both widths, in both schemes; nothing that was written comes alive.
async function looks(wrong) {
  for (const name of ["everything", "hostile", "well"]) {
    await ask(`show ${name}`);
    for (const scheme of ["light", "dark"]) {
      for (const width of [360, 1280]) {
        const page = await open(width, scheme, wrong);
        const overflow = await page.evaluate(() =>
          document.documentElement.scrollWidth - document.documentElement.clientWidth);
        check(overflow <= 0, `${name} scrolls sideways by ${overflow} px at ${width} px`);
        if (shots) await page.screenshot({ path: `${shots}/${name}-${scheme}-${width}.png`, fullPage: true });
        const text = await page.evaluate(() => document.body.innerText);
        if (name === "everything") {
          for (const word of STATES) check(text.includes(word), `no word of "${word}"`);
          // A table that looks like cards is still a table to whoever hears it.
          check(await page.getByRole("rowheader", { name: "guard" }).count() === 1, `no row at ${width} px`);
          check((await page.title()).includes("8 need attention"), await page.title());
        } else if (name === "hostile") {
          const alive = await page.evaluate(() =>
            [window.harmed, document.querySelectorAll("img, main script, header script").length]);
          check(alive[0] === undefined && alive[1] === 0, "markup came alive");
          check(text.includes("<img"), "the hostile text is not shown as text");
        } else {
          check(text.includes("All 3 instances run as written."), text.slice(0, 200));
        }
        await page.context().close();
      }
    }
  }
}

// What is going on comes by itself, and leaves a person where they are.
async function follows(wrong) {
  await ask("show everything");
  const page = await open(1280, "light", wrong);
  const summary = page.locator("#plan summary").first();
  await summary.focus();
  await page.keyboard.press("Enter");
  check(await page.locator("#plan details").first().evaluate((it) => it.open), "Enter opens details");
  await page.evaluate(() => { window.here = { scroll: window.scrollY, focus: document.activeElement }; });
  await ask("show later");
  await page.waitForFunction(() => document.getElementById("history").innerText.includes("retry"), null, PATIENCE);
  const kept = await page.evaluate(() => [
    document.activeElement === window.here.focus, document.activeElement.parentNode.open,
    document.querySelectorAll("#instances tbody").length,
  ]);
  check(kept[0], "the focus was lost");
  check(kept[1], "open details were closed");
  check(kept[2] === 12, `an instance that is gone is shown: ${kept[2]}`);
  check((await page.locator("#link").innerText()).includes("live"), "it says that it is live");
  const seen = await page.locator("#link time").innerText();
  await page.waitForFunction((seen) => document.querySelector("#link time").innerText !== seen, seen, PATIENCE);
  await page.context().close();
}

// All of it can be reached by keyboard, and each stop is to be seen.
async function keyboard(wrong) {
  const page = await open(1280, "dark", wrong);
  await page.keyboard.press("Tab");
  const skip = await page.evaluate(() => document.activeElement?.getAttribute("href") ?? "");
  check(skip === "#instances", `the first stop of the keyboard is a skip link, not "${skip}"`);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.id === "instances", null, PATIENCE);
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.closest("section, footer") !== null), "it goes on from there");
  const stops = await page.evaluate(() => document.querySelectorAll("a[href], summary, [tabindex='0']").length);
  const reached = new Set();
  for (let stop = 0; stop < stops + 2; stop += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const it = document.activeElement;
      if (!it || it === document.body) return null;
      return { what: it.outerHTML.slice(0, 200), seen: getComputedStyle(it).outlineStyle !== "none" };
    });
    if (at) {
      check(at.seen, `a stop of the keyboard cannot be seen: ${at.what}`);
      reached.add(at.what);
    }
  }
  check(reached.size > 10, `few stops of the keyboard: ${reached.size}`);
  await page.context().close();
}

// Without its script it says where the same is to be read.
async function still() {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(address);
  check(await page.locator("noscript a[href='/status.json']").count() === 1, "no word to those without script");
  await context.close();
}

// How long it takes until there is something to see.
async function measure() {
  for (const name of ["well", "hundred"]) {
    await ask(`show ${name}`);
    const context = await browser.newContext();
    const page = await context.newPage();
    const began = Date.now();
    await page.goto(address, { waitUntil: "domcontentloaded" });
    const loaded = Date.now() - began;
    await page.waitForSelector("#instances tbody tr", PATIENCE);
    console.log(`measured ${name}: loaded in ${loaded} ms, shown in ${Date.now() - began} ms`);
    await context.close();
  }
}

// Once nobody serves it any more it says so, and what it has seen stays.
async function loses() {
  const page = await open(1280, "light", []);
  await ask("end");
  await page.waitForFunction(() => document.getElementById("link").innerText.includes("connection lost"), null, PATIENCE);
  check(await page.locator("#instances tbody").count() > 0, "what was seen is gone");
}

try {
  const wrong = [];
  await looks(wrong);
  await follows(wrong);
  await keyboard(wrong);
  await still();
  check(wrong.length === 0, `the console says: ${wrong.join("; ")}`);
  await measure();
  await loses();
  console.log("OK");
} catch (error) {
  console.log("FAILED");
  console.log(error.stack);
} finally {
  await browser.close();
  process.exit(0);
}
