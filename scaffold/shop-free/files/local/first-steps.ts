const json = "-H 'Content-Type: application/json'";

/**
 * Commands to try on a new platform, with a sentence about them.
 * @param door the gateway
 */
export function firstSteps(door: string): string {
  return `Create an item; read it; see its event in a projection, and in a window of a stream query:

  curl -s ${door}/api/items ${json} -d '{"name":"Pocket watch"}'
  curl -s ${door}/api/items/1
  curl -s ${door}/api/items/latest-events
  curl -s ${door}/analytics/queries/item-created/windows`;
}
