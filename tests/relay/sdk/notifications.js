// Manages notifications of the relay at $ENDPOINT with Baidu's JavaScript SDK, as client $AK with secret $SK. Prints a
// report as JSON, and exits with an error at any unexpected failure.
'use strict';

const { DocClient } = require('@baiducloud/sdk');

const { ENDPOINT, AK, SK, TARGET } = process.env;

const client = (sk) => new DocClient.Notification({ endpoint: ENDPOINT, credentials: { ak: AK, sk } });

const errorOf = (promise) =>
  promise.then(
    () => null,
    (error) => ({ status: error.status_code, code: error.code, named: Boolean(error.request_id) }),
  );

async function main() {
  const notification = client(SK);
  const created = await notification.create('js_sdk', TARGET);
  const duplicate = await errorOf(notification.create('js_sdk', TARGET));
  const got = await notification.get();
  const listed = await notification.list();
  const forged = await errorOf(client('wrong').list());
  const removed = await notification.remove();
  const missing = await errorOf(notification.get('js_sdk'));
  const { name, endpoint, isDefault, createTime } = got.body;
  const named = Boolean(created.http_headers['x-bce-request-id'] && removed.http_headers['x-bce-request-id']);
  const names = listed.body.notifications.map((n) => n.name);
  const report = { named, again: duplicate, got: { name, endpoint, isDefault, time: createTime }, listed: names, forged, missing };
  console.log(JSON.stringify(report));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
