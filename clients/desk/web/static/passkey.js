// Makes a passkey, or shows one to come in. Without scripts a one-time link does.
"use strict";

const asked = document.querySelector("[data-passkey]");

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });
  if (!answer.ok) throw new Error(path);
  return answer.json();
}

async function add() {
  const { publicKey } = await post("/passkeys/begin");
  const made = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
  await post("/passkeys", made.toJSON());
  location.assign("/passkeys");
}

async function enter() {
  const { publicKey } = await post("/sign-in/passkey/begin");
  const shown = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
  await post("/sign-in/passkey", shown.toJSON());
  location.assign("/");
}

if (asked && globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON) {
  asked.hidden = false;
  asked.addEventListener("click", () => {
    const failed = document.getElementById("passkey-failed");
    failed.hidden = true;
    (asked.dataset.passkey === "add" ? add() : enter()).catch(() => { failed.hidden = false; });
  });
}
