// The entry point of the dashboard: connects the elements of index.html to the App.

import { App } from "./app.js";
import { Session } from "./session.js";
import { savedToken, takeTokenFromUrl } from "./token-storage.js";
import { byId } from "./ui/dom.js";
import { errorText } from "./ui/error-text.js";
import { translate } from "./ui/i18n.js";
import { updateTimes } from "./ui/time.js";

translate();
const app = new App();

/** `createSession` gets the values of the form's fields. */
function onSignIn(form, createSession) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = [...form.querySelectorAll("input")].map((field) => field.value.trim());
    byId("sign-in-error").textContent = "";
    try {
      const session = await createSession(...values);
      form.reset();
      app.signIn(session);
    } catch (error) {
      byId("sign-in-error").textContent = errorText(error);
    }
  });
}

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;
onSignIn(byId("sign-in-token"), (token) => new Session(token));
onSignIn(byId("sign-in-client"), (id, secret) => Session.fromSecret({ id, secret }));
byId("sign-out").addEventListener("click", () => app.signOut());
byId("language").addEventListener("click", () => app.switchLanguage());
byId("skip").addEventListener("click", (event) => {
  // The fragment of the link would be taken for a route.
  event.preventDefault();
  byId("main").focus();
});
addEventListener("keydown", (event) => app.onKey(event));
addEventListener("hashchange", () => {
  const token = takeTokenFromUrl();
  if (token) app.signIn(new Session(token));
  else app.showRoute();
});
setInterval(() => {
  updateTimes();
  app.drawChart();
}, 1000);

const token = takeTokenFromUrl() || savedToken();
if (token) app.signIn(new Session(token));
else app.updateVisibility();
