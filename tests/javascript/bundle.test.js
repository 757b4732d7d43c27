// The bundles that the relay embeds are committed, so that a build needs no Node.js.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { bundles } from "./bundle.js";

test("committed bundles equal a fresh build", async () => {
  for (const { path, text } of await bundles()) {
    const committed = await readFile(path, "utf8");
    assert.ok(committed === text, `${path} is out of date: run \`make bundle\` and commit the result`);
  }
});

test("bundles import nothing", async () => {
  for (const { path, text } of await bundles()) {
    assert.doesNotMatch(text, /\bimport\s*[({*"']|\bfrom\s*["']/, path);
  }
});
