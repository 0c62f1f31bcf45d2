const json = "-H 'Content-Type: application/json'";

/**
 * Commands to try on a new platform, with a sentence about them.
 * @param gatewayUrl the address of the gateway
 */
export function firstSteps(gatewayUrl: string): string {
  return `Create an item; read it; see its event in a projection, and in a window of a stream query:

  curl -s ${gatewayUrl}/api/items ${json} -d '{"name":"Pocket watch"}'
  curl -s ${gatewayUrl}/api/items/1
  curl -s ${gatewayUrl}/api/items/latest-events
  curl -s ${gatewayUrl}/analytics/queries/item-created/windows`;
}
