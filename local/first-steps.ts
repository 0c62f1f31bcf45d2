const json = "-H 'Content-Type: application/json'";
const user = '{"username":"ada","email":"ada@example.com","firstName":"Ada","lastName":"Lovelace"}';
const order =
  '{"userId":1,"items":[{"productId":1,"productName":"Pocket watch","quantity":2,"unitPrice":12.50,"totalPrice":25.00}]}';

/**
 * Commands to try on a new platform, with a sentence about them.
 * @param gatewayUrl the address of the gateway
 */
export function firstSteps(gatewayUrl: string): string {
  return `Register a user, who gets a mail; order something; read the order back:

  curl -s ${gatewayUrl}/api/users ${json} -d '${user}'
  curl -s ${gatewayUrl}/api/orders ${json} -d '${order}'
  curl -s '${gatewayUrl}/api/orders/1?minVersion=1'`;
}
