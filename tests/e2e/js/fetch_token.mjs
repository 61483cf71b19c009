// Ask a token endpoint as an app with LiveKit's own JavaScript client does, and print the answer.
//
// Usage: node fetch_token.mjs URL HEADERS OPTIONS   (both JSON)
import { TokenSource } from "livekit-client";

const [url, headers, options] = process.argv.slice(2);
const source = TokenSource.endpoint(url, { headers: JSON.parse(headers) });
try {
  const answer = await source.fetch(JSON.parse(options));
  console.log(JSON.stringify({ answer }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }));
}
