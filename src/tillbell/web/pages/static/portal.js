/* What the portal does beyond other pages: it opens its link, and tells the page around it how high it is. */
(() => {
  "use strict";
  /* The token is in the fragment, which no server, proxy or Referer sees. It is posted once, and taken out of the address. */
  const form = document.getElementById("enter");
  const key = location.hash.startsWith("#key=") ? location.hash.slice(5) : "";
  if (form && key) {
    history.replaceState(null, "", location.pathname + location.search);
    form.elements.token.value = key;
    form.elements.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
    form.submit();
    return;
  }

  /* The page around a frame may make it as high as what it shows: the message that Svix's components read. */
  const main = document.querySelector("main");
  if (parent === window || !main) return;
  const tell = () => {
    const height = Math.ceil(main.getBoundingClientRect().bottom + scrollY);
    parent.postMessage({ type: "svix.iframe-resizer-height", payload: { height } }, "*");
  };
  new ResizeObserver(tell).observe(main);
})();
