/** An error as a broker answers it. */
export const brokerError = (type: string, message = type) => Object.assign(new Error(message), { type });
