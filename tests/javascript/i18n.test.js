// Both languages have the same texts, with the same values in them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { TEXTS as DASHBOARD_TEXTS } from "../../static/dashboard/ui/texts.js";
import { codeText, languageOf, TEXTS } from "../../static/widget/i18n.js";

function keysOf(value) {
  if (typeof value === "string") return value !== "";
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, keysOf(inner)]));
}

test("widget has every text in both languages", () => {
  assert.deepEqual(keysOf(TEXTS.en), keysOf(TEXTS.zh));
  assert.ok(Object.keys(TEXTS.en.codes).length >= 10);
});

test("widget shows a general text for an unknown code", () => {
  assert.equal(codeText(TEXTS.en, "code_of_a_later_version"), TEXTS.en.codes.refused);
});

test("widget language follows the closest lang attribute", () => {
  globalThis.document = { documentElement: { lang: "en" } };
  const inside = (lang) => ({ closest: () => lang && { lang } });
  assert.equal(languageOf(inside("zh-CN")), "zh");
  assert.equal(languageOf(inside("fr")), "en");
  assert.equal(languageOf(inside(undefined)), "en");
});

test("dashboard has every text in both languages with the same values", () => {
  const valuesOf = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const [key, texts] of Object.entries(DASHBOARD_TEXTS)) {
    assert.equal(texts.length, 2, key);
    assert.ok(
      texts.every((text) => text !== ""),
      key,
    );
    assert.deepEqual(valuesOf(texts[0]), valuesOf(texts[1]), key);
  }
});

test("texts of index.html equal those of the dashboard", async () => {
  const html = await readFile(new URL("../../static/index.html", import.meta.url), "utf8");
  const texts = [...html.matchAll(/data-text="(\w+)"[^>]*>([^<]*)</g)];
  const labels = [...html.matchAll(/data-(?:aria-label|placeholder)="(\w+)" (?:aria-label|placeholder)="([^"]*)"/g)];
  assert.ok(texts.length > 40 && labels.length > 5);
  for (const [, key, text] of [...texts, ...labels]) assert.equal(text, DASHBOARD_TEXTS[key]?.[0], key);
});
