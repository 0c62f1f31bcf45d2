# One image for the services, their migrations and the operator; an argument selects the program.
#   docker build --tag millrace .
#   docker run millrace services/users/main.ts

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# the optional packages are Node itself, which the image has, and the native parts of the codecs, which it needs
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -r node_modules/node-* node_modules/.bin/node && node -e "require('snappy'), require('lz4-napi')" \
# Prisma ships query compilers for five databases, each in four forms; its clients here import this one
 && find node_modules/@prisma/client/runtime -name '*query_compiler*' ! -name 'query_compiler_fast_bg.postgresql.*mjs' -delete \
 && find node_modules/@prisma/client/runtime -name '*edge*' -delete \
# only editors and debuggers read these
 && find node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM node:24-bookworm-slim AS sources
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional --ignore-scripts --no-audit --no-fund
COPY . .
RUN node --no-warnings local/generate.ts && rm -r node_modules local .npmrc package-lock.json

FROM node:24-bookworm-slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Services, migrations and operator of an event-driven platform for Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
# threads share two arenas of malloc: with one for each, the free space of buffers adds up to 40 MB
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=sources /app .
RUN mkdir compile-cache && chown 1000:1000 compile-cache
# by number, which `runAsNonRoot` can check; the running programs write nothing here
USER 1000:1000
# Fills Node's compile cache, which belongs to the user. The invalid port stops each program after it has loaded its modules.
ENV NODE_COMPILE_CACHE=/app/compile-cache
RUN for main in services/*/main.ts platform/mail-catcher/main.ts operators/millrace/main.ts platform/migrate/main.ts; do PORT=none node --no-warnings $main >/dev/null 2>&1 || true; done
ENTRYPOINT ["node", "--no-warnings"]
