// Looks at the status page in Chromium, as people do: `node page.mjs ADDRESS SCREENSHOTS`. It says a line before
// each thing that is to happen on the other side, and reads a line once it has. The first line it says after
// `FAILED` is what was wrong.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.LLAMA_ORCH_PLAYWRIGHT + "/")("playwright-core");
const [address, shots] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

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
  await page.waitForSelector("#instances tbody tr, #instances li, #instances article", { timeout: 20000 });
  return page;
}

try {
  const wrong = [];
  for (const name of ["everything", "hostile"]) {
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
          for (const word of ["running", "starting", "backing off", "gave up", "failed", "down"]) {
            check(text.toLowerCase().includes(word), `no word of "${word}"`);
          }
        } else {
          check(await page.evaluate(() => document.querySelectorAll("img").length) === 0, "markup came alive");
          check(text.includes("<img"), "the hostile text is not shown as text");
        }
        await page.context().close();
      }
    }
  }

  // It follows what happens, without losing what a person is at.
  await ask("show well");
  const page = await open(1280, "light", wrong);
  check(/\b3\b/.test(await page.evaluate(() => document.body.innerText)), "three instances");
  await page.keyboard.press("Tab");
  const skip = await page.evaluate(() => document.activeElement?.getAttribute("href") ?? "");
  check(skip.startsWith("#"), `the first stop of the keyboard is a skip link, not "${skip}"`);
  await page.keyboard.press("Enter");
  const focusable = await page.evaluate(() =>
    document.querySelectorAll("a[href], summary, button, [tabindex='0']").length);
  for (let stop = 0; stop < focusable; stop += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const at = document.activeElement;
      return !at || at === document.body || getComputedStyle(at).outlineStyle !== "none";
    });
    check(seen, "a stop of the keyboard cannot be seen");
  }
  const before = await page.title();
  await ask("show everything");
  await page.waitForFunction((before) => document.title !== before, before, { timeout: 20000 });
  check(wrong.length === 0, `the console says: ${wrong.join("; ")}`);

  // How long it takes until there is something to see.
  for (const name of ["well", "hundred"]) {
    await ask(`show ${name}`);
    const fresh = await browser.newContext();
    const one = await fresh.newPage();
    const began = Date.now();
    await one.goto(address);
    const loaded = Date.now() - began;
    await one.waitForSelector("#instances tbody tr, #instances li, #instances article");
    console.log(`measured ${name}: loaded in ${loaded} ms, shown in ${Date.now() - began} ms`);
    await fresh.close();
  }
  console.log("OK");
} catch (error) {
  console.log("FAILED");
  console.log(error.stack);
} finally {
  await browser.close();
  process.exit(0);
}
