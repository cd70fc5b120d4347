// A sign-in of an organisation for the tests: the certified OpenID provider of npm with a
// page on which anybody is whoever they say. It writes {"issuer": ...} once it listens, and
// reads lines of JSON: {"redirect": ...} is where it may send people back to,
// {"rotate": true} gives it another key. It ends with its input.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const server = createServer((request, response) => answer(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

let redirect;
let op;
let serve;

function build() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  op = new Provider(issuer, {
    clients: [{ client_id: "schakel", client_secret: "geheim", redirect_uris: [redirect], grant_types: ["authorization_code"],
      response_types: ["code"], id_token_signed_response_alg: "ES256" }],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" }] },
    cookies: { keys: [randomUUID()] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, i) => `/interaction/${i.uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    async loadExistingGrant(ctx) {
      const grant = new op.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid");
      await grant.save();
      return grant;
    },
  });
  serve = op.callback();
}

async function answer(request, response) {
  if (!serve) return response.writeHead(503).end();
  if (!request.url.startsWith("/interaction/")) return serve(request, response);
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    return response.end(`<!DOCTYPE html><html lang="nl"><title>Organisatie</title><link rel="icon" href="data:,">
<form method="post"><label for="who">Wie bent u?</label> <input id="who" name="who"><button>Aanmelden</button></form></html>`);
  }
  let body = "";
  for await (const part of request) body += part;
  await op.interactionFinished(request, response, { login: { accountId: new URLSearchParams(body).get("who") } });
}

console.log(JSON.stringify({ issuer }));
for await (const line of createInterface({ input: process.stdin })) {
  redirect = JSON.parse(line).redirect ?? redirect;
  build();
  console.log(JSON.stringify({ built: true }));
}
server.closeAllConnections();
server.close();
