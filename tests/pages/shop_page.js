/* A page of a shop: the React components of Svix, as their README shows them, against a server of ours. */
(() => {
  "use strict";
  const { React, createRoot, SvixReact: svix } = window;
  const { token, url, appId, serverUrl } = JSON.parse(document.getElementById("access").textContent);
  const h = React.createElement;

  const Endpoints = () => {
    const endpoints = svix.useEndpoints({ limit: 50 });
    const types = svix.useEventTypes({ limit: 250 });
    const messages = svix.useMessages({ limit: 5 });
    const fresh = svix.useNewEndpoint();
    const [said, say] = React.useState("");
    const add = async () => {
      const made = await fresh.createEndpoint();
      say(made.error ? `refused ${made.error.code}: ${JSON.stringify(made.error.body)}` : `added ${made.endpoint.id}`);
      endpoints.reload();
    };
    return h("div", null,
      h("p", { id: "state" }, endpoints.error ? `error ${endpoints.error.code}` : endpoints.loading || messages.loading || types.loading ? "loading" : "ready"),
      h("ul", { id: "endpoints" }, endpoints.data?.map((each) => h("li", { key: each.id }, each.description))),
      h("ul", { id: "messages" }, messages.data?.map((each) => h("li", { key: each.id }, each.eventType))),
      h("p", { id: "types" }, types.data?.length),
      h("input", { id: "new", value: fresh.url.value, onChange: (event) => fresh.url.setValue(event.target.value) }),
      h("button", { id: "add", onClick: add }, "Add"),
      h("p", { id: "said" }, said),
      endpoints.data?.length ? h(Secret, { id: endpoints.data[0].id }) : null);
  };
  const Secret = ({ id }) => {
    const secret = svix.useEndpointSecret(id);
    return h("p", { id: "secret" }, secret.data?.key || (secret.error ? `error ${secret.error.code}` : ""));
  };
  const Shop = () => h("div", null,
    h(svix.SvixProvider, { token, appId, options: { serverUrl } }, h(Endpoints)),
    h(svix.AppPortal, { url, fullSize: true, darkMode: true, primaryColor: "0a7ea4" }));
  createRoot(document.getElementById("root")).render(h(Shop));
})();
