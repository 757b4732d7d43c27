// Builds static/dist/ from the modules in static/ with esbuild. `make bundle` writes the files; bundle.test.js checks that
// the committed ones are up to date.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// The packages of tests/setup/node are installed below target/, where an import does not find them.
const { build } = createRequire(`${process.env.DOCRELAY_NODE_MODULES}/`)("esbuild");

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Returns `[{path, text}]`: absolute paths and contents of the bundles. */
export async function bundles() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: { dashboard: "static/dashboard/main.js", widget: "static/widget/element.js" },
    outdir: "static/dist",
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    minify: true,
    // Lines of a bounded length keep diffs small.
    lineLimit: 160,
    banner: { js: "// Generated from static/ by `make bundle`: do not edit." },
    write: false,
  });
  return outputFiles.map(({ path, text }) => ({ path, text }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { mkdir, writeFile } = await import("node:fs/promises");
  for (const { path, text } of await bundles()) {
    await mkdir(new URL("../../static/dist/", import.meta.url), { recursive: true });
    await writeFile(path, text);
  }
}
