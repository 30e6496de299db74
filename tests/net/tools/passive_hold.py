"""Opens an FTP session, asks for a passive port, prints it, and waits for a minute: ADDRESS"""
import ftplib
import sys
import time

ftp = ftplib.FTP(sys.argv[1], timeout=5)
ftp.login()
print(ftplib.parse227(ftp.sendcmd("PASV"))[1], flush=True)
time.sleep(60)
