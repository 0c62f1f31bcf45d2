# One image for the services, their migrations and the operator: what runs is an argument.
#   docker build --tag millrace .
#   docker run millrace services/users/main.ts

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# --omit=optional: the packages that carry Node itself, which is here already
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
# Prisma ships query compilers for five databases, each in four forms; its clients here import this one
 && find node_modules/@prisma/client/runtime -name '*query_compiler*' ! -name 'query_compiler_fast_bg.postgresql.*mjs' -delete \
 && find node_modules/@prisma/client/runtime -name '*edge*' -delete \
# what only editors and debuggers read
 && find node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM node:24-bookworm-slim AS sources
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional --ignore-scripts --no-audit --no-fund
COPY . .
RUN node --no-warnings local/generate.ts && rm -r node_modules local .npmrc package-lock.json

FROM node:24-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Services, migrations and operator of an event-driven platform for Kubernetes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
# threads share two arenas of malloc: with one for each, what buffers have left free adds up to 40 MB
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=sources /app .
RUN mkdir compile-cache && chown 1000:1000 compile-cache
# by number, which `runAsNonRoot` can check; nothing here is written to when it runs
USER 1000:1000
# What Node makes of the sources, made once: it keeps it by user. No program starts with such a port, but all load what they need.
ENV NODE_COMPILE_CACHE=/app/compile-cache
RUN for main in services/*/main.ts platform/mail-catcher/main.ts operators/millrace/main.ts platform/migrate/main.ts; do PORT=none node --no-warnings $main >/dev/null 2>&1 || true; done
ENTRYPOINT ["node", "--no-warnings"]
