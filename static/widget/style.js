// The style of the element, in its shadow root. Light, unless the `color-scheme` of the page allows dark.

// A constructed sheet: the `style-src 'self'` of a page would forbid a <style> element.
export const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
:host { display: block; max-width: var(--docrelay-width, 30rem); container-type: inline-size;
  --text: var(--docrelay-text, light-dark(#1c1f23, #e6e8eb)); --quiet: var(--docrelay-quiet, light-dark(#5b636d, #a2abb5));
  --done: var(--docrelay-completed, light-dark(#17693a, #6fd394)); --failed: var(--docrelay-error, light-dark(#b3261e, #ff9a92));
  --busy: var(--docrelay-pending, light-dark(#7a5200, #f0c36a)); --line: var(--docrelay-line, light-dark(#d9dde2, #363d45));
  font: var(--docrelay-font, 15px/1.45 system-ui, sans-serif); }
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; padding: 0; }
.box { direction: ltr; color: var(--text); background: var(--docrelay-background, light-dark(#fff, #1d2126)); border: 1px solid var(--line);
  border-radius: var(--docrelay-radius, .6rem); overflow: hidden; }
.state { display: flex; gap: .5rem; align-items: baseline; padding: .45rem .9rem; color: var(--quiet); font-size: .85em;
  border-bottom: 1px solid var(--line); }
.dot { flex: none; width: .55rem; height: .55rem; border-radius: 50%; background: var(--busy); }
[data-state="live"] .dot { background: var(--done); }
[data-state="offline"] .dot { background: none; box-shadow: inset 0 0 0 2px var(--quiet); }
[data-state="error"] .dot { background: var(--failed); border-radius: 0; }
.message { padding: .5rem .9rem; border-bottom: 1px solid var(--line); font-size: .9em; text-wrap: pretty; }
p:last-child { border-bottom: 0; }
[data-state="error"] .message { color: var(--failed); }
.empty { padding: .8rem .9rem; color: var(--quiet); }
ul { list-style: none; }
li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 .6rem; align-items: baseline; padding: .6rem .9rem; }
li + li { border-top: 1px solid var(--line); }
.mark { width: 1.1em; height: 1.1em; align-self: start; margin-top: .18em; color: var(--quiet); }
svg { display: block; width: 100%; height: 100%; fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
.title, .problem { overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  unicode-bidi: isolate; text-align: left; }
.title { font-weight: 600; }
.status { white-space: nowrap; font-weight: 600; font-size: .9em; }
.time, .problem { grid-column: 2 / -1; font-size: .85em; color: var(--quiet); }
.problem { color: var(--failed); }
[data-status="COMPLETED"] :is(.mark, .status) { color: var(--done); }
[data-status="ERROR"] :is(.mark, .status) { color: var(--failed); }
[data-status="PENDING"] :is(.mark, .status) { color: var(--busy); }
@container (max-width: 17rem) { li { grid-template-columns: auto minmax(0, 1fr); } .status { grid-column: 2; } }
.announcement { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) {
  [data-status="PENDING"] svg, [data-state="connecting"] .dot { animation: turn 1.6s linear infinite; }
  [data-state="connecting"] .dot { animation-name: pulse; }
  li.is-new { animation: highlight 1.6s ease-out; }
  @keyframes turn { to { rotate: 360deg; } }
  @keyframes pulse { 50% { opacity: .25; } }
  @keyframes highlight { from { background: color-mix(in srgb, var(--busy) 22%, transparent); } }
}
@media (forced-colors: active) { .dot { forced-color-adjust: none; } }
`);
