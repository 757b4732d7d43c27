// Baidu's JavaScript SDK manages notifications of the relay at $ENDPOINT as client $AK with $SK; prints what it saw as
// JSON. What goes wrong unexpectedly ends it with an error.
'use strict';

const { DocClient } = require('@baiducloud/sdk');

const { ENDPOINT, AK, SK, TARGET } = process.env;

const client = (sk) => new DocClient.Notification({ endpoint: ENDPOINT, credentials: { ak: AK, sk } });

const refused = (promise) =>
  promise.then(
    () => null,
    (error) => ({ status: error.status_code, code: error.code, named: Boolean(error.request_id) }),
  );

async function main() {
  const notification = client(SK);
  const made = await notification.create('js_sdk', TARGET);
  const again = await refused(notification.create('js_sdk', TARGET));
  const got = await notification.get();
  const listed = await notification.list();
  const forged = await refused(client('wrong').list());
  const gone = await notification.remove();
  const missing = await refused(notification.get('js_sdk'));
  const { name, endpoint, isDefault, createTime } = got.body;
  const named = Boolean(made.http_headers['x-bce-request-id'] && gone.http_headers['x-bce-request-id']);
  const names = listed.body.notifications.map((n) => n.name);
  const seen = { named, again, got: { name, endpoint, isDefault, time: createTime }, listed: names, forged, missing };
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
