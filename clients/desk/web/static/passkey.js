// Makes a passkey, shows one to come in, or shows one in place of a PIN. Without scripts
// a one-time link and the PIN do.
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

// sign adds to a form what a passkey says, with the secret that it derives for this desk.
async function sign(form, button) {
  const { publicKey } = await post("/passkeys/signing/begin");
  const shown = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
  const field = form.elements.passkey ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: "passkey" }));
  field.value = JSON.stringify(shown.toJSON());
  form.requestSubmit(button);
}

// offer puts a button beside the field for the PIN: the passkey takes its place.
function offer(pin) {
  const form = pin.form;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "utrecht-button", textContent: document.body.dataset.sign });
  const failed = Object.assign(document.createElement("p"), { className: "wrong", hidden: true, textContent: document.body.dataset.signFailed });
  const alert = document.createElement("div");
  alert.setAttribute("role", "alert");
  alert.append(failed);
  const row = document.createElement("p");
  row.className = "actions";
  row.append(button);
  pin.after(row, alert);
  button.addEventListener("click", () => {
    failed.hidden = true;
    const needed = pin.required;
    pin.required = false;
    if (!form.reportValidity()) {
      pin.required = needed;
      return;
    }
    pin.value = "";
    sign(form, form.querySelector("button:not([type=button])")).catch(() => {
      pin.required = needed;
      failed.hidden = false;
    });
  });
}

const able = globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON;
if (able && document.body.dataset.sign) document.querySelectorAll("main form input[name=pin]").forEach(offer);

// A passkey that is to sign is shown along with the PIN, once.
const signing = document.querySelector("form[data-signing]");
if (able && signing) {
  signing.hidden = false;
  signing.addEventListener("submit", (e) => {
    if (signing.elements.passkey) return;
    e.preventDefault();
    const failed = document.getElementById("signing-failed");
    failed.hidden = true;
    sign(signing, e.submitter).catch(() => { failed.hidden = false; });
  });
}

if (asked && able) {
  asked.hidden = false;
  asked.addEventListener("click", () => {
    const failed = document.getElementById("passkey-failed");
    failed.hidden = true;
    (asked.dataset.passkey === "add" ? add() : enter()).catch(() => { failed.hidden = false; });
  });
}
