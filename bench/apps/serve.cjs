/** Listens where whoever starts the app says: on fd 3 (the systemd protocol), on fd 0 (inetd), or on $PORT. */
module.exports = process.env.LISTEN_FDS
  ? { fd: 3 }
  : process.argv[2] === 'inetd'
    ? { fd: 0 }
    : { host: '127.0.0.1', port: Number(process.env.PORT), reusePort: process.env.REUSE_PORT === '1' }
