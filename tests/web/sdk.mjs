// The main flow by the official JavaScript SDK, unmodified. Prints what it saw as one JSON line.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [home, serverUrl, token, receiverUrl] = process.argv.slice(2);
const require = createRequire(`${home}/package.json`);
const { Svix, ApiException } = await import(pathToFileURL(require.resolve("svix")).href);
const svix = new Svix(token, { serverUrl, numRetries: 0 });

async function refused(promise, status) {
  const error = await promise.then(
    () => assert.fail("it should have been refused"),
    (reason) => reason,
  );
  assert.ok(error instanceof ApiException, String(error));
  assert.equal(error.code, status);
  return error.body;
}

// Applications: by id and uid, once only, changed in part and as a whole.
const app = await svix.application.create({ name: "Till", uid: "js", metadata: { plan: "pro" } });
assert.equal((await svix.application.get("js")).id, app.id);
assert.equal((await svix.application.getOrCreate({ name: "x", uid: "js" })).id, app.id);
assert.equal((await svix.application.patch("js", { name: "Shop" })).name, "Shop");
assert.ok(app.createdAt instanceof Date);
assert.equal((await refused(svix.application.create({ name: "y", uid: "js" }), 409)).code, "conflict");
const wrong = await refused(svix.application.create({ name: "y", uid: "no blanks" }), 422);
assert.deepEqual(wrong.detail[0].loc, ["body", "uid"]);

// Endpoints, their secret and headers.
const endpoint = await svix.endpoint.create("js", {
  url: `${receiverUrl}/js`,
  uid: "ep",
  eventTypes: ["order.*"],
  channels: ["east"],
});
assert.deepEqual(endpoint.eventTypes, ["order.*"]);
const before = (await svix.endpoint.getSecret("js", "ep")).key;
await svix.endpoint.rotateSecret("js", "ep", {});
const after = (await svix.endpoint.getSecret("js", "ep")).key;
assert.notEqual(before, after);
await svix.endpoint.setHeaders("js", "ep", { headers: { "X-Shop": "7", "X-Old": "1" } });
await svix.endpoint.patchHeaders("js", "ep", { headers: {}, deleteHeaders: ["X-Old"] });
assert.deepEqual((await svix.endpoint.getHeaders("js", "ep")).headers, { "X-Shop": "7" });

// Lists, forth and back.
for (let n = 0; n < 4; n++) await svix.endpoint.create("js", { url: `${receiverUrl}/no`, disabled: true });
const first = await svix.endpoint.list("js", { limit: 2 });
const second = await svix.endpoint.list("js", { limit: 2, iterator: first.iterator });
const back = await svix.endpoint.list("js", { limit: 2, iterator: second.prevIterator });
assert.deepEqual(back.data, first.data);
assert.equal(first.done, false);

// Messages: created once, listed by filter, attempted.
const body = {
  eventType: "order.paid",
  eventId: "evt-js",
  channels: ["east"],
  payload: { type: "order.paid", data: { id: "ord_1", amount: "149.99" } },
};
const message = await svix.message.create("js", body, { idempotencyKey: "js-1" });
assert.equal((await svix.message.create("js", body, { idempotencyKey: "js-1" })).id, message.id);
await refused(svix.message.create("js", body), 409);
const eventTypes = ["order.paid", "order.created"];
const listed = await svix.message.list("js", { eventTypes, withContent: true });
assert.deepEqual(listed.data.map((one) => one.id), [message.id]);
assert.deepEqual(listed.data[0].payload, body.payload);

let attempts = [];
for (const deadline = Date.now() + 10_000; attempts.length === 0 && Date.now() < deadline; ) {
  attempts = (await svix.messageAttempt.listByMsg("js", message.id)).data;
}
assert.equal(attempts[0].responseStatusCode, 200);
assert.equal(attempts[0].status, 0);
const destinations = await svix.messageAttempt.listAttemptedDestinations("js", message.id);
assert.deepEqual(destinations.data.map((one) => one.id), [endpoint.id]);
await svix.messageAttempt.resend("js", message.id, endpoint.id);

// Work in the background, counts, portal.
const task = await svix.endpoint.recover("js", "ep", { since: message.timestamp });
assert.equal((await svix.backgroundTask.get(task.id)).task, "endpoint.recover");
assert.ok((await svix.endpoint.getStats("js", "ep")).success >= 0);
const access = await svix.authentication.appPortalAccess("js", {});
assert.ok(access.url.includes(access.token));


// Event types, pollers and operational webhooks.
const spec = { webhooks: { "js.made": { post: { description: "Made." } } } };
const planned = await svix.eventType.importOpenapi({ spec, dryRun: true });
assert.deepEqual(planned.data.toModify.map((type) => type.name), ["js.made"]);
assert.deepEqual((await svix.eventType.importOpenapi({ spec })).data.modified, ["js.made"]);
assert.equal((await svix.eventType.get("js.made")).description, "Made.");
await svix.eventType.delete("js.made", { expunge: true });
const polled = await svix.message.poller.consumerPoll("js", "sink", "me", { limit: 2 });
assert.equal(typeof polled.iterator, "string");
const operational = svix.operationalWebhook.endpoint;
const heard = await operational.create({ url: receiverUrl, eventTypes: ["endpoint.updated"] });
await operational.rotateSecret(heard.id, {});
assert.ok((await operational.getSecret(heard.id)).key.startsWith("whsec_"));
await operational.delete(heard.id);
await refused(svix.streaming.stream.list(), 404);
await refused(svix.ingest.source.list(), 404);

console.log(JSON.stringify({ message: message.id, secrets: [before, after] }));
