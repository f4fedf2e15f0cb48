# The service in a container. An artifact is compiled beforehand and mounted, so that the image has no
# compiler; docs/service.md says how to build and run it.

FROM python:3.13-slim AS package
RUN echo "setuptools==84.2.1 --hash=sha256:ca140b45d5325a9478f880e351484f62fef15f336462e449ca0c03c873d589c2" > /build.txt \
    && python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r /build.txt
COPY . /project
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /project

FROM python:3.13-slim
COPY requirements-service.txt /
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: \
    -r /requirements-service.txt
COPY --from=package /wheels /wheels
RUN python -m pip install --no-cache-dir --no-deps --no-index /wheels/*.whl && rm -r /wheels
RUN useradd --system --no-create-home --shell /usr/sbin/nologin lprnet
USER lprnet
ENV PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
# 0.0.0.0 is every address of the container, whose loopback nobody outside it can reach. Who may reach
# the service is decided by the port that is published: -p 127.0.0.1:8000:8000 keeps it on the machine.
ENTRYPOINT ["lprnet", "serve", "--host", "0.0.0.0"]
CMD ["--artifact", "/artifacts/lprnet-fp32-portable.so"]
