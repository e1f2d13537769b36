// Requests to the server that the page came from. What it refuses is an Error with its reason.

export class Unreachable extends Error {}

async function answered(request) {
  const response = await request.catch(error => {
    throw error.name === "AbortError" ? error : new Unreachable("The server does not answer; trying again …");
  });
  if (response.status === 401) throw new Error("The server asks for its token anew: load the page again to enter it.");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(answer.error ?? `the server answered ${response.status}`));
  return answer;
}

export function sentence(text) {
  return text[0].toUpperCase() + text.slice(1);
}

export async function get(path) {
  return answered(fetch(path));
}

export async function post(path, body, signal) {
  const picture = body instanceof Blob;
  const headers = {"Content-Type": picture ? body.type : "application/json"};
  return answered(fetch(path, {method: "POST", headers, body: picture ? body : JSON.stringify(body), signal}));
}

// A request that a newer one of the same kind takes the place of; the older one's promise is rejected (AbortError).
export function newest() {
  let running = null;
  return async (path, body) => {
    running?.abort();
    const own = running = new AbortController();
    const answer = await post(path, body, own.signal);
    own.signal.throwIfAborted();
    return answer;
  };
}
