/** A certificate that is valid for a hundred years, of no server of a test; its key is deleted. */
export const strangersCertificate = `-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUD4Z2S6Kacv14oDVXkAayqB8sbj8wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyNTEzMzUxOFoYDzIxMjYxMTAxMTMz
NTE4WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARFTna/XyEpzHFdmER8Muh+z/wOI2X/y2WMcrEu5+FRjVrXMkAlO1OKe9864IkU
UblxJjZoqAOnpWTmqHqW34tqo1MwUTAdBgNVHQ4EFgQUZ/t2QfdQAfsNBcVvO2z+
/mRPhqMwHwYDVR0jBBgwFoAUZ/t2QfdQAfsNBcVvO2z+/mRPhqMwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA/Q7qOlcCzyihUaPqN8Vg+8BbsYi2
RELYXHmnTTFY/Y0CIQDzrqMCObVh1lZrMzdsCSysn/nYO/VjB3Q2v7FbYeYGKw==
-----END CERTIFICATE-----
`;
